/** Loopback ports of our own: below the range the kernel hands out to outgoing connections, and the same after a restart. */
import { readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { LocalFault } from "./fault.ts";
import { codeOf } from "./files.ts";

/** First port that may be picked. Linux gives outgoing connections 32,768 and up, so nothing takes these by chance. */
const PORT_FIRST = 21_000;
const PORT_COUNT = 9_000;
const TRIES_MAX = 500;

/**
 * A free port for each name. Those in `file` are kept where they are still free; the others are picked anew, and the
 * file is written.
 * @throws LocalFault when no free port is found
 */
export async function claimPorts<Name extends string>(
  file: string,
  names: readonly Name[],
): Promise<Record<Name, number>> {
  const known = await readPorts(file);
  const taken = new Set<number>();
  const claimed: Partial<Record<Name, number>> = {};
  for (const name of names) {
    const port = await pickPort(known[name], taken);
    taken.add(port);
    claimed[name] = port;
  }
  await writeFile(file, `${JSON.stringify({ ...known, ...claimed }, null, 2)}\n`);
  return claimed as Record<Name, number>; // every name was given one above
}

/** Whether a port can be listened on at an address just now. */
export async function isPortFree(host: string, port: number): Promise<boolean> {
  return (await probePort(host, port)) === undefined;
}

/** Listens on a port (0: any) and stops. @returns the code of the error that kept it from that; undefined when it could */
export function probePort(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error) => resolve(codeOf(error) ?? error.message));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)));
  });
}

async function pickPort(wanted: number | undefined, taken: ReadonlySet<number>): Promise<number> {
  let candidate = wanted ?? randomPort();
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    if (!taken.has(candidate) && (await isPortFree("127.0.0.1", candidate))) return candidate;
    candidate = randomPort();
  }
  throw new LocalFault(
    `no free port was found between ${PORT_FIRST} and ${PORT_FIRST + PORT_COUNT - 1} on 127.0.0.1`,
  );
}

function randomPort(): number {
  return PORT_FIRST + Math.floor(Math.random() * PORT_COUNT);
}

/** What the file remembers; a missing or damaged one remembers nothing. */
async function readPorts(file: string): Promise<Record<string, number>> {
  const text = await readFile(file, "utf8").catch(() => "{}");
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed !== "object" || parsed === null) return {};
    return Object.fromEntries(
      Object.entries(parsed).filter(
        ([, port]) => Number.isInteger(port) && port > 0 && port < 65_536,
      ),
    );
  } catch {
    return {};
  }
}
