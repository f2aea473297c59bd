/** The ops port: probes and metrics on a server of its own, which no route leads to and no span sees. */
import { createServer, type ServerResponse } from "node:http";
import { listen, stopServer } from "./http/listen.ts";
import type { Log } from "./log.ts";
import { metricsText } from "./telemetry.ts";

/** The state that probes ask for. */
export type Health = AsyncDisposable & {
  /** The service is wired: `/startupz` says so from now on, and `/readyz` asks the checks. */
  started(): void;
  /** The service is to take no more work: `/readyz` refuses from now on. */
  stopping(): void;
  /** The port that is listened on. */
  readonly port: number;
};

/** True: well. May take a moment, never longer than `CHECK_MS`. */
export type Check = () => boolean | Promise<boolean>;

/** ms that one check may take; one that takes longer counts as failed. */
const CHECK_MS = 1000;

/**
 * Opens the ops port. `/livez`: this process turns (and each of `alive`, for loops that may hang, says so); `/startupz`:
 * `started()` was called; `/readyz`: started, not stopping, every check true, each listed by name; `/metrics`: Prometheus text.
 * Good is 200, bad is 503.
 */
export async function openHealth(options: {
  host: string;
  port: number;
  checks: Record<string, Check>;
  alive?: Record<string, Check>;
  /** What people may want to know of a process that is ready: shown by `/readyz`, judged by nobody. */
  notes?: Record<string, () => string>;
  log: Log;
}): Promise<Health> {
  let phase: "starting" | "started" | "stopping" = "starting";
  const server = createServer({ maxHeaderSize: 8192, keepAliveTimeout: 5000 }, (req, res) => {
    const path = req.url?.split("?", 1)[0];
    answer(path, res).catch((error: unknown) => {
      options.log.error("health.failed", { error });
      reply(res, 500, { status: "failed" });
    });
  });
  const port = await listen(server, options);
  return {
    port,
    started() {
      if (phase === "starting") phase = "started";
    },
    stopping() {
      phase = "stopping";
    },
    async [Symbol.asyncDispose]() {
      await stopServer(server, { graceMs: 0, drainMs: 1000 });
    },
  };

  async function answer(path: string | undefined, res: ServerResponse): Promise<void> {
    if (path === "/livez") return replyChecks(res, await runChecks(options.alive ?? {}), true);
    if (path === "/startupz") return replyChecks(res, {}, phase !== "starting");
    if (path === "/readyz") {
      return replyChecks(res, await runChecks(options.checks), phase === "started");
    }
    if (path === "/metrics") {
      res.setHeader("content-type", "text/plain; version=0.0.4; charset=utf-8");
      res.end(await metricsText());
      return;
    }
    reply(res, 404, { status: "unknown path" });
  }

  function replyChecks(res: ServerResponse, checks: Record<string, boolean>, phaseOk: boolean) {
    const ok = phaseOk && Object.values(checks).every(Boolean);
    const notes = Object.entries(options.notes ?? {}).map(([name, read]) => [name, read()]);
    reply(res, ok ? 200 : 503, {
      status: ok ? "ok" : "not ok",
      phase,
      checks,
      ...(notes.length > 0 ? { notes: Object.fromEntries(notes) } : {}),
    });
  }
}

async function runChecks(checks: Record<string, Check>): Promise<Record<string, boolean>> {
  const names = Object.keys(checks);
  const results = await Promise.all(Object.values(checks).map(runCheck));
  return Object.fromEntries(names.map((name, at) => [name, results[at] === true]));
}

async function runCheck(check: Check): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, CHECK_MS, false);
  });
  try {
    return await Promise.race([check(), late]);
  } catch {
    return false; // a check that throws says no
  } finally {
    clearTimeout(timer);
  }
}

function reply(res: ServerResponse, status: number, body: unknown): void {
  if (res.headersSent) return void res.destroy();
  res.writeHead(status, { "content-type": "application/json", "cache-control": "no-store" });
  res.end(`${JSON.stringify(body)}\n`);
}
