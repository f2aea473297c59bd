/** A real Prometheus Alertmanager (Debian's `prometheus-alertmanager`), run against a Mattermost hook. */
import { type ChildProcess, spawn } from "node:child_process";
import { accessSync, constants, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "./eventually.ts";
import { findPort } from "./ports.ts";

/** An alert as Prometheus would hand it over. Times are ISO 8601. */
export type Alert = {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly startsAt: string;
  readonly endsAt?: string;
};

/** A running Alertmanager. `output` is all it has logged. */
export type Alertmanager = AsyncDisposable & {
  readonly output: () => string;
  /** Hands alerts over, as Prometheus does. */
  post(alerts: readonly Alert[]): Promise<void>;
};

/** Where the program is; undefined when the package is not installed. */
export function findAlertmanager(): string | undefined {
  const folders = (process.env.PATH ?? "").split(":");
  return folders.map((folder) => join(folder, "prometheus-alertmanager")).find(isProgram);
}

/** The configuration that the README shows, with waits short enough for a test. */
export function configFor(hookUrl: string): string {
  return `route: { receiver: headgate, group_by: [alertname, instance], group_wait: 0s, group_interval: 1s, repeat_interval: 1h }
receivers:
  - name: headgate
    slack_configs:
      - api_url: ${hookUrl}
        send_resolved: true
`;
}

/** Starts it with a folder of its own and waits until it is ready. */
export async function startAlertmanager(program: string, hookUrl: string): Promise<Alertmanager> {
  const folder = mkdtempSync(join(tmpdir(), "headgate-alertmanager-"));
  const file = join(folder, "alertmanager.yml");
  writeFileSync(file, configFor(hookUrl), { mode: 0o600 });
  const port = await findPort();
  const child = spawn(
    program,
    [
      `--config.file=${file}`,
      `--storage.path=${folder}`,
      `--web.listen-address=127.0.0.1:${port}`,
      "--cluster.listen-address=",
    ],
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => {
      output += chunk.toString();
    });
  }
  const base = `http://127.0.0.1:${port}`;
  await eventually(async () => {
    const answer = await fetch(`${base}/-/ready`);
    if (!answer.ok) throw new Error(`not ready: ${answer.status}`);
  });
  return {
    output: () => output,
    async post(alerts) {
      const answer = await fetch(`${base}/api/v2/alerts`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(alerts),
        signal: AbortSignal.timeout(60_000),
      });
      if (!answer.ok) throw new Error(`alertmanager refused: ${answer.status}`);
    },
    async [Symbol.asyncDispose]() {
      await stop(child);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), 5_000);
  await ended;
  clearTimeout(timer);
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
