/** `npm run parts`: keeps the three parts up for work on one service, and prints where they are. Ends by Ctrl-C or SIGTERM. */
import { resolve } from "node:path";
import { stopSignal } from "@headgate/kit/lifecycle";
import { explain } from "./fault.ts";
import { openParts } from "./parts.ts";

const print = (line: string) => process.stdout.write(`${line}\n`);
const stopped = stopSignal();
try {
  const dataDir = resolve(process.env.HEADGATE_DATA ?? ".cache/dev-parts");
  await using parts = await openParts({ dataDir, env: process.env, report: print });
  print(`export KAFKA_BROKERS=${parts.kafkaBrokers.join(",")}`);
  print(`export DATABASE_URL=${parts.databaseUrl}`);
  print(`export REDIS_URL=${parts.redisUrl}`);
  print("ready; Ctrl-C ends them");
  await stopped;
} catch (error) {
  process.exitCode = explain(error, (text) => process.stderr.write(text));
}
