/** `npm start`: the whole system in the foreground, until Ctrl-C or SIGTERM. */
import { ConfigError, EXIT_CONFIG } from "@headgate/kit/env";
import { stopSignal } from "@headgate/kit/lifecycle";
import { explain } from "./fault.ts";
import { readSettings } from "./settings.ts";
import { type System, startSystem } from "./system.ts";

const print = (line: string) => process.stdout.write(`${line}\n`);
const printError = (text: string) => process.stderr.write(text);
/** Whoever reads our output may go away; that is no reason to leave processes behind. */
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});

const stopping = new AbortController();
const stopped = Promise.race([stopSignal(), parentGone()]).then((why) => {
  print(`stopping (${why})`);
  stopping.abort(why);
});

try {
  const settings = readSettings(process.env);
  {
    await using system = await startSystem({
      ...settings,
      env: process.env,
      report: print,
      signal: stopping.signal,
    });
    printWelcome(system);
    await stopped;
  }
  print("stopped");
} catch (error) {
  if (stopping.signal.aborted) print("stopped before it was ready");
  else process.exitCode = refuse(error);
}
process.exit();

function refuse(error: unknown): number {
  if (!(error instanceof ConfigError)) return explain(error, printError);
  printError(`${error.message}\n`);
  return EXIT_CONFIG;
}

function printWelcome({ publicUrl, demo }: System): void {
  print("");
  print(`Headgate   ${publicUrl}   (API: ${publicUrl}/api/headgate/v1/openapi.json)`);
  print(`admin      ${demo.admin.name}   password ${demo.admin.password}`);
  print("try        ");
  print(
    `curl -d '{"text":"disk 91% on db-3"}' -H 'content-type: application/json' ${demo.hooks.headgate}`,
  );
  print("");
  print(`ready ${publicUrl}`);
}

/** Resolves when the process that started us ends without a word: the channel to it closes. */
function parentGone(): Promise<string> {
  if (!process.channel) return new Promise(() => {});
  process.channel.unref();
  return new Promise((resolve) => process.once("disconnect", () => resolve("its parent is gone")));
}
