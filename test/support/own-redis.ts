/** A Redis of a test's own, made as `npm start` makes it, with less memory: for what a full one does. */
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openRedis } from "@headgate/kit/redis";
import { prepareRedis } from "@headgate/local/parts/redis";

import { createCollectedLog } from "./collected-log.ts";
import { eventually } from "./eventually.ts";
import { findPort } from "./ports.ts";

/** Starts the server and opens a connection to it; `disposeAsync` ends both and removes its folder. */
export async function openOwnRedis({ maxmemory }: { maxmemory: string }) {
  await using scope = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "headgate-redis-"));
  scope.defer(() => rm(folder, { recursive: true, force: true }));
  const part = await prepareRedis(
    { folder, logFolder: folder, runFolder: folder, throwaway: true, report: () => {} },
    { port: await findPort(), password: randomUUID() },
  );
  scope.use(part.process);
  await part.process.start();
  const { log } = createCollectedLog();
  const redis = scope.use(await openRedis({ url: part.address, timeoutMs: 20_000, log }));
  await eventually(() => redis.ready);
  await redis.command("CONFIG", "SET", "maxmemory", maxmemory);
  const opened = scope.move();
  return { redis, url: part.address, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}
