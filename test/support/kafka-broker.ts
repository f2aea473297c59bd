/** A Kafka broker of one test, to be stopped, killed and frozen. */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { prepareKafka } from "@headgate/local/parts/kafka";
import { claimPorts } from "@headgate/local/ports";
import { expect, onTestFinished } from "vitest";
import { eventually } from "./eventually.ts";

/** Starts a broker; it ends with the test. */
export async function startBroker() {
  const folder = await mkdtemp(join(tmpdir(), "headgate-broker-"));
  const ports = await claimPorts(join(folder, "ports.json"), ["broker", "controller"]);
  const part = await prepareKafka(
    { folder, logFolder: folder, runFolder: folder, throwaway: true, report() {} },
    ports,
  );
  onTestFinished(async () => {
    await part.process.stop();
    await rm(folder, { recursive: true, force: true });
  });
  await part.process.start();
  let killed: number | undefined;
  return {
    address: part.address,
    /** Where a partition's records are. */
    folderOf: (topic: string, partition: number) => join(folder, "log", `${topic}-${partition}`),
    kill() {
      killed = part.process.pid;
      part.process.kill("SIGKILL");
    },
    /** Resolves when each of its threads stands still: on a busy machine some serve on for a moment. */
    async freeze() {
      const { pid } = part.process;
      part.process.kill("SIGSTOP");
      await eventually(async () => {
        const threads = await readdir(`/proc/${pid}/task`);
        const stats = threads.map((id) => readFile(`/proc/${pid}/task/${id}/stat`, "utf8"));
        for (const stat of await Promise.all(stats)) expect(stat).toMatch(/\) T /);
      });
    },
    thaw: () => part.process.kill("SIGCONT"),
    /** Ends it; it starts again with `start`. */
    stop: () => part.process.stop(),
    /** Resolves when it serves again. After `kill` its connections are gone a moment before it is. */
    async start() {
      if (killed !== undefined) await eventually(() => part.process.pid !== killed);
      killed = undefined;
      await part.process.start();
    },
  };
}
