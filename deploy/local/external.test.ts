import { createServer } from "node:net";
import { ConfigError } from "@headgate/kit/env";
import { expect, onTestFinished, test } from "vitest";
import { checkExternal, readExternal } from "./external.ts";
import { LocalFault } from "./fault.ts";

/** ms; what the checks may take here: a refused connection must be seen within it on a busy machine too. */
const TIMEOUT_MS = 3_000;
const NONE = { brokers: undefined, databaseUrl: undefined, redisUrl: undefined };
const SECRET = "a-secret-password";

/** The message of the fault that a check throws. */
async function faultOf(addresses: Partial<typeof NONE> | object): Promise<string> {
  try {
    await checkExternal({ ...NONE, ...addresses }, undefined, TIMEOUT_MS);
  } catch (thrown) {
    if (thrown instanceof LocalFault) return thrown.message;
    throw thrown;
  }
  return "no fault";
}

/** A port that takes connections and never says a word. */
async function listenSilently(): Promise<number> {
  const server = createServer((socket) => void socket.on("error", () => {}));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  return (server.address() as { port: number }).port; // a TCP server's address has one
}

test.concurrent.each([
  ["KAFKA_BROKERS", "127.0.0.1:1", { brokers: ["127.0.0.1:1"] }],
  ["DATABASE_URL", "127.0.0.1:1/db", { databaseUrl: `postgres://me:${SECRET}@127.0.0.1:1/db` }],
  ["REDIS_URL", "127.0.0.1:1", { redisUrl: `redis://:${SECRET}@127.0.0.1:1` }],
])(
  "a server that does not listen is named by %s and its address, without its password",
  async (setting, address, given) => {
    const message = await faultOf(given);
    expect(message).toMatch(`${setting}: ${address} gave no usable answer within 3 s`);
    expect(message).toContain("ECONNREFUSED");
    expect(message).not.toContain(SECRET);
    expect(message).not.toContain("\n");
  },
);

test("a server that takes connections and says nothing is waited for no longer", async () => {
  const address = `127.0.0.1:${await listenSilently()}`;
  const faults = await Promise.all([
    faultOf({ brokers: [address] }),
    faultOf({ databaseUrl: `postgres://a:b@${address}/c` }),
    faultOf({ redisUrl: `redis://${address}` }),
  ]);
  expect(faults).toEqual([
    expect.stringContaining("KAFKA_BROKERS"),
    expect.stringContaining("DATABASE_URL"),
    expect.stringContaining("REDIS_URL"),
  ]);
});

test("the wait ends when it is aborted", async () => {
  const stopping = new AbortController();
  const given = { ...NONE, brokers: ["127.0.0.1:1"] };
  const checked = checkExternal(given, stopping.signal, 60_000);
  stopping.abort(new Error("stopped"));
  await expect(checked).rejects.toThrow("stopped");
});

test("nothing is asked where nothing is given, and faulty addresses are named without their values", async () => {
  await checkExternal(readExternal({ KAFKA_BROKERS: " ", HEADGATE_X: "y" }), undefined);
  const read = () => readExternal({ KAFKA_BROKERS: "kafka", DATABASE_URL: SECRET });
  expect(read).toThrow(ConfigError);
  expect(read).toThrow(/KAFKA_BROKERS must be[\s\S]*DATABASE_URL must be/);
  expect(read).not.toThrow(SECRET);
});
