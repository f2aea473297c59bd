import { once } from "node:events";
import { connect, createServer, type TLSSocket } from "node:tls";
import { expect, onTestFinished, test } from "vitest";
import { createAuthority } from "./certificates.ts";

test("both ends of a connection trust what one authority issued, and nothing of another of its name", async () => {
  const authority = await createAuthority();
  const other = await createAuthority();
  const { certificate: cert, key } = await authority.issue("server");
  const server = createServer({
    ca: authority.certificate,
    cert,
    key,
    requestCert: true,
    rejectUnauthorized: true,
  });
  server.on("tlsClientError", () => {});
  server.on("secureConnection", (socket: TLSSocket) => socket.end("welcome"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const at = server.address();
  const port = at !== null && typeof at === "object" ? at.port : 0;

  expect(await readWith(port, authority.certificate, await authority.issue("client"))).toBe(
    "welcome",
  );
  expect(await readWith(port, authority.certificate, await other.issue("client"))).toBe("");
  expect(await readWith(port, other.certificate, await authority.issue("client"))).toBe("");
  const expired = await authority.issue("client", { isExpired: true });
  expect(await readWith(port, authority.certificate, expired)).toBe("");
});

/** What the server sends; an empty text when either end refuses the other. */
function readWith(port: number, ca: string, own: { certificate: string; key: string }) {
  return new Promise<string>((resolve) => {
    let text = "";
    const socket = connect({ port, host: "localhost", ca, cert: own.certificate, key: own.key });
    socket.setEncoding("utf8");
    socket.on("data", (chunk) => {
      text += chunk;
    });
    socket.on("error", () => {});
    socket.on("close", () => resolve(text));
  });
}
