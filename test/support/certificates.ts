/** Certificates for tests of TLS: an authority made for one test, and what it issues. PEM texts; keys are PKCS #8, as Node and Kafka read them. */
import "reflect-metadata"; // @peculiar/x509 needs it before it is loaded
import { webcrypto } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as x509 from "@peculiar/x509";
import { onTestFinished } from "vitest";

/** A certificate and its private key. */
export type Issued = { readonly certificate: string; readonly key: string };

/** An authority that signs certificates for servers and for clients. */
export type Authority = {
  /** Its own certificate: what a peer that trusts it is given. */
  readonly certificate: string;
  /**
   * Issues a certificate that may stand for a server and for a client.
   * @param options.hosts names and addresses that it is valid for; localhost, 127.0.0.1 and ::1 unless given
   * @param options.isExpired its time is over
   */
  issue(
    name: string,
    options?: { hosts?: readonly string[]; isExpired?: boolean },
  ): Promise<Issued>;
};

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const HOUR_MS = 3_600_000;
const LOCAL_HOSTS = ["localhost", "127.0.0.1", "::1"];

/** Makes an authority. Another one of the same name is not trusted in its place. */
export async function createAuthority(name = "Headgate test"): Promise<Authority> {
  const keys = await makeKeys();
  const own = await x509.X509CertificateGenerator.createSelfSigned({
    name: `CN=${name}`,
    ...lifetime(),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate: own.toString("pem"), issue };

  async function issue(
    subject: string,
    {
      hosts = LOCAL_HOSTS,
      isExpired = false,
    }: { hosts?: readonly string[]; isExpired?: boolean } = {},
  ): Promise<Issued> {
    const made = await makeKeys();
    const names = hosts.map((value) => ({ type: isAddress(value) ? "ip" : "dns", value }) as const);
    const certificate = await x509.X509CertificateGenerator.create({
      subject: `CN=${subject}`,
      issuer: own.subject,
      ...lifetime(isExpired),
      signingAlgorithm: ALGORITHM,
      publicKey: made.publicKey,
      signingKey: keys.privateKey,
      extensions: [
        new x509.SubjectAlternativeNameExtension(names),
        new x509.ExtendedKeyUsageExtension([
          x509.ExtendedKeyUsage.serverAuth,
          x509.ExtendedKeyUsage.clientAuth,
        ]),
        await x509.AuthorityKeyIdentifierExtension.create(keys.publicKey),
      ],
    });
    const key = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", made.privateKey));
    return { certificate: certificate.toString("pem"), key: toPem(key) };
  }
}

/** Writes texts as files of a new folder that ends with the test. @returns the path of each, by its name */
export async function writeFiles<Name extends string>(
  texts: Readonly<Record<Name, string>>,
): Promise<Record<Name, string>> {
  const folder = await mkdtemp(join(tmpdir(), "headgate-files-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const names = Object.keys(texts) as Name[];
  await Promise.all(
    names.map((name) => writeFile(join(folder, name), texts[name], { mode: 0o600 })),
  );
  return Object.fromEntries(names.map((name) => [name, join(folder, name)])) as Record<
    Name,
    string
  >;
}

function makeKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
}

/** From an hour ago, so that no clock nearby is before it, to a day from now; or until a minute ago. */
function lifetime(isExpired = false): { notBefore: Date; notAfter: Date } {
  const notBefore = new Date(Date.now() - HOUR_MS);
  return { notBefore, notAfter: new Date(Date.now() + (isExpired ? -60_000 : 24 * HOUR_MS)) };
}

function isAddress(host: string): boolean {
  return /^[\d.]+$|:/.test(host);
}

function toPem(pkcs8: Buffer): string {
  const lines = pkcs8.toString("base64").match(/.{1,64}/g) ?? [];
  return `-----BEGIN PRIVATE KEY-----\n${lines.join("\n")}\n-----END PRIVATE KEY-----\n`;
}
