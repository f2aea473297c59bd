import { createServer } from "node:net";
import { isListening } from "@headgate/local/parts/probe";
import { expect, test } from "vitest";
import { findPort } from "./ports.ts";

const STARTS = 200;

test("a server can start on the port that is being probed", async () => {
  const port = await findPort();
  let probing = true;
  const prober = (async () => {
    while (probing) await isListening(port);
  })();
  const failures: string[] = [];
  for (let start = 0; start < STARTS; start++) {
    const server = createServer();
    const failure = await new Promise<string | undefined>((resolve) => {
      server.once("error", (error) => resolve(error.message));
      server.listen({ host: "127.0.0.1", port, exclusive: true }, () => resolve(undefined));
    });
    if (failure) failures.push(failure);
    else await new Promise<void>((resolve) => server.close(() => resolve()));
  }
  probing = false;
  await prober;
  expect(failures).toEqual([]);
});
