/** The arguments of `npm start`; bootstrap.mjs answers --help. */
import { parseArgs } from "node:util";
import { LocalFault } from "./fault.ts";

/** Exit code of a command that was called wrongly (EX_USAGE of sysexits.h). */
const EXIT_USAGE = 64;

/** What a start was asked for. */
export type Arguments = {
  /** The admin of the data folder becomes an active system admin again, with new credentials. */
  readonly recoverAdmin: boolean;
};

/** Reads them. @throws LocalFault (exit code 64) naming one that is not known */
export function readArguments(words: readonly string[]): Arguments {
  try {
    const { values } = parseArgs({
      args: [...words],
      options: { "recover-admin": { type: "boolean", default: false } },
      allowPositionals: false,
    });
    return { recoverAdmin: values["recover-admin"] };
  } catch (cause) {
    const why = cause instanceof Error ? (cause.message.split(". ")[0] ?? "") : String(cause);
    throw new LocalFault(`${why}; npm start -- --help prints what can be given`, {
      cause,
      exitCode: EXIT_USAGE,
    });
  }
}
