/**
 * The process of the attacker: gets the name of an attack and its target as one message, runs it until the message
 * `stop`, answers with its figures and ends. Tokens come by message, because arguments can be read by everybody.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { attacks } from "./attacks.ts";
import type { AttackFigures, Target } from "./means.ts";

/** ms that an attack may take to end once it is stopped. */
const END_MS = 3_000;

const stopping = new AbortController();
let running: Promise<AttackFigures> | undefined;

process.on("message", (message: { attack: string; target: Target } | "stop") => {
  if (message === "stop") void stop();
  else running = attacks[message.attack]?.run(message.target, stopping.signal);
});
process.on("disconnect", () => process.exit(0));

async function stop(): Promise<void> {
  stopping.abort();
  const figures = await Promise.race([running, sleep(END_MS)]);
  process.send?.(figures ?? {}, () => process.exit(0));
}
