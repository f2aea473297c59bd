/** What the makers of the three parts are given, and what they give back. */
import type { Supervised } from "../supervise.ts";

/** Where a part keeps its things and what ports it may use. */
export type PartPlace = {
  /** Its own folder, kept between runs. */
  readonly folder: string;
  readonly logFolder: string;
  /** Where running processes are noted. */
  readonly runFolder: string;
  /** Nothing needs to survive a crash of the machine: faster. */
  readonly throwaway: boolean;
  readonly report: (line: string) => void;
  /** Ends fetching and waiting. */
  readonly signal?: AbortSignal | undefined;
};

/** A part that runs as a local process, not yet started, and the address services use. */
export type LocalPart = { readonly address: string; readonly process: Supervised };
