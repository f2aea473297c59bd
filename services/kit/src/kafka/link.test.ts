import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { openLink } from "./link.ts";
import { createProduce } from "./produce.ts";
import { explainRefusal } from "./refusals.ts";

const API_VERSIONS = 18;
const PRODUCE = 0;
const FETCH = 1;

/** A broker that only says which versions it speaks, and answers nothing else. */
async function startBroker(
  versions: readonly (readonly [key: number, min: number, max: number])[],
) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("data", (request) => {
      if (request.readInt16BE(4) === API_VERSIONS) socket.write(answer(request.readInt32BE(8)));
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  return { host: "127.0.0.1", port: address && typeof address === "object" ? address.port : 0 };

  /** Size int32, correlation id int32, then ApiVersions v2: error int16, list of (key, min, max) int16, throttle int32. */
  function answer(correlationId: number): Buffer {
    const bytes = Buffer.alloc(4 + 4 + 2 + 4 + versions.length * 6 + 4);
    bytes.writeInt32BE(bytes.length - 4, 0);
    bytes.writeInt32BE(correlationId, 4);
    bytes.writeInt32BE(versions.length, 10);
    for (const [at, [key, min, max]] of versions.entries()) {
      bytes.writeInt16BE(key, 14 + at * 6);
      bytes.writeInt16BE(min, 16 + at * 6);
      bytes.writeInt16BE(max, 18 + at * 6);
    }
    return bytes;
  }
}

const ALL = [
  [API_VERSIONS, 0, 4],
  [PRODUCE, 3, 13],
  [FETCH, 4, 18],
] as const;

describe("a connection", () => {
  test.each([
    ["too old", [[PRODUCE, 0, 6]], "Produce (it speaks 0 to 6)"],
    ["too new", [[PRODUCE, 9, 13]], "Produce (it speaks 9 to 13)"],
    ["too new to fetch from", [[FETCH, 12, 18]], "Fetch (it speaks 12 to 18)"],
  ] as const)(
    "to a broker that is %s is refused with the version that is missing",
    async (_, own, said) => {
      const changed = ALL.map((entry) => own.find(([key]) => key === entry[0]) ?? entry);
      const failure = await openLink(await startBroker(changed), { clientId: "test" }).then(
        (link) => link.close(),
        (thrown: unknown) => thrown,
      );
      expect(String(failure)).toContain(said);
      expect(explainRefusal(failure)?.message).toContain(said);
    },
  );

  test("fails a request that the broker does not speak, and goes on", async () => {
    const link = await openLink(await startBroker(ALL), { clientId: "test" });
    onTestFinished(() => link.close());
    await expect(
      link.call("Metadata", { topics: [], allowAutoTopicCreation: false }),
    ).rejects.toThrow("does not speak version 6 of Metadata (it has none)");
    expect(link.open).toBe(true);
  });

  test("ends with a request that is not answered in time, also when the wall clock stands still", async () => {
    const now = Date.now();
    const clock = Date.now;
    Date.now = () => now - 120_000;
    onTestFinished(() => {
      Date.now = clock;
    });
    const link = await openLink(await startBroker(ALL), { clientId: "test" });
    const sent = link.send(createProduce([], 100), { timeoutMs: 200 });
    await expect(sent).rejects.toThrow("did not answer within 200 ms");
    expect(link.open).toBe(false);
  });
});
