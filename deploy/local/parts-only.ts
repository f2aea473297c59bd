/** `npm run parts`: keeps the three parts up for work on one service, and prints where they are. Ends by Ctrl-C or SIGTERM. */
import { resolve } from "node:path";
import { stopSignal } from "@headgate/kit/lifecycle";
import { EXIT_SIGNALLED, explain } from "./fault.ts";
import { openParts } from "./parts.ts";

const print = (line: string) => process.stdout.write(`${line}\n`);
const printError = (text: string) => process.stderr.write(text);
const stopping = new AbortController();
const stopped = stopSignal().then((name) => {
  stopping.abort(name);
  return name;
});
try {
  const dataDir = resolve(process.env.HEADGATE_DATA ?? ".cache/dev-parts");
  const { signal } = stopping;
  await using parts = await openParts({ dataDir, env: process.env, report: print, signal });
  print(`export KAFKA_BROKERS=${parts.kafkaBrokers.join(",")}`);
  print(`export DATABASE_URL=${parts.databaseUrl}`);
  print(`export REDIS_URL=${parts.redisUrl}`);
  print("ready; Ctrl-C ends them");
  await stopped;
} catch (error) {
  if (stopping.signal.aborted) process.exitCode = EXIT_SIGNALLED[await stopped] ?? 1;
  else process.exitCode = explain(error, printError);
}
