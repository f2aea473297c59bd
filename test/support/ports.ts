/** Ports for servers that a test stops and starts again, and that must not be taken by somebody else in between. */
import { isPortFree } from "@headgate/local/ports";

/** Below 32,768, from where Linux gives ports to outgoing connections, and beside what the parts claim. */
const PORT_FIRST = 30_000;
const PORTS_PER_WORKER = 50;
const WORKERS = 20;

const worker = Number(process.env.VITEST_POOL_ID ?? 0) % WORKERS;
let taken = Math.floor(Math.random() * PORTS_PER_WORKER);

/** A port of 127.0.0.1 that nobody listens on, and that no other test of this run is given. */
export async function findPort(): Promise<number> {
  for (let tries = 0; tries < PORTS_PER_WORKER; tries++) {
    const port = PORT_FIRST + worker * PORTS_PER_WORKER + (taken++ % PORTS_PER_WORKER);
    if (await isPortFree("127.0.0.1", port)) return port;
  }
  throw new Error(`no port is free between ${PORT_FIRST} and 31,000`);
}
