/** Who may call a process, and what a process that calls shows of itself: identity statements, mutual TLS, or both. */
import { credentials, ServerCredentials } from "@grpc/grpc-js";
import type { Signer, Verifier } from "./statement.ts";

/** What one end of mutual TLS needs, in PEM. */
export type TlsIdentity = {
  /** Its certificate, with those between it and the authority. */
  readonly certificate: Buffer;
  readonly key: Buffer;
  /** The authority that the other end's certificate must come from. Every certificate of it is let in. */
  readonly authority: Buffer;
};

/** How a server knows its callers. With neither, it takes every caller at their word. */
export type ServerAccess = {
  readonly verifier?: Verifier | undefined;
  readonly tls?: TlsIdentity | undefined;
};

/** What a client shows to servers. */
export type ClientAccess = {
  readonly signer?: Signer | undefined;
  readonly tls?: TlsIdentity | undefined;
};

/** For grpc-js: with TLS, a connection without a certificate of the authority is refused in the handshake. */
export function toServerCredentials({ tls }: ServerAccess): ServerCredentials {
  if (!tls) return ServerCredentials.createInsecure();
  const own = { cert_chain: tls.certificate, private_key: tls.key };
  return ServerCredentials.createSsl(tls.authority, [own], true);
}

/** For grpc-js: with TLS, the server's certificate must come from the authority and be made for the host that is called. */
export function toChannelCredentials({ tls }: ClientAccess) {
  if (!tls) return credentials.createInsecure();
  return credentials.createSsl(tls.authority, tls.key, tls.certificate);
}
