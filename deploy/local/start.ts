/** `npm start`: the whole system in the foreground, until Ctrl-C or SIGTERM. */
import { stopSignal } from "@headgate/kit/lifecycle";
import { readArguments } from "./arguments.ts";
import { EXIT_SIGNALLED, explain } from "./fault.ts";
import { readSettings } from "./settings.ts";
import { startSystem } from "./system.ts";
import { renderWelcome } from "./welcome.ts";

const print = (line: string) => process.stdout.write(`${line}\n`);
const printError = (text: string) => process.stderr.write(text);
/** The reader of our output may end; that is no reason to leave processes behind. */
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});

const stopping = new AbortController();
const stopped = Promise.race([stopSignal(), parentEnded()]).then((why) => {
  print(`stopping (${why})`);
  stopping.abort(why);
  return why;
});

try {
  const { recoverAdmin } = readArguments(process.argv.slice(2));
  const settings = readSettings(process.env);
  {
    await using system = await startSystem({
      ...settings,
      recoverAdmin,
      env: process.env,
      report: print,
      signal: stopping.signal,
    });
    for (const line of renderWelcome(system)) print(line);
    await stopped;
  }
  print("stopped");
} catch (error) {
  if (stopping.signal.aborted) {
    print("stopped before it was ready");
    process.exitCode = EXIT_SIGNALLED[await stopped] ?? 1;
  } else process.exitCode = explain(error, printError);
}
process.exit();

/** Resolves when the process that started us ends without a word: the channel to it closes. */
function parentEnded(): Promise<string> {
  if (!process.channel) return new Promise(() => {});
  process.channel.unref();
  return new Promise((resolve) => process.once("disconnect", () => resolve("its parent ended")));
}
