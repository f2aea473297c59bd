/**
 * Secrets stay secret: a system is used in every way that handles one, rightly and wrongly; then everything it wrote,
 * exported, stored or was started with is searched for them.
 */

import { readdirSync, readFileSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { join, relative } from "node:path";
import { createLog } from "@headgate/kit/log";
import { openPostgres } from "@headgate/kit/postgres";
import type { System } from "@headgate/local/system";
import { beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { useRunningSystem } from "../support/system.ts";

/** Files that hold secrets on purpose; each must be readable by its owner alone. */
const KEEPERS = /^(secrets\.json|demo\.json|parts-password|redis\/[^/]*\.conf)$/;

const exported: Buffer[] = [];
const secrets = new Map<string, string>();
let system: System;

beforeAll(async () => {
  const sink = createServer((req, res) => {
    req.on("data", (chunk: Buffer) => exported.push(chunk));
    req.on("end", () => res.writeHead(200, { "content-type": "application/json" }).end("{}"));
  });
  await new Promise<void>((resolve) => sink.listen(0, "127.0.0.1", resolve));
  const { port } = sink.address() as { port: number }; // a TCP server's address has one
  system = await useRunningSystem({
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
    OTEL_METRIC_EXPORT_INTERVAL: "1000",
    OTEL_BSP_SCHEDULE_DELAY: "200",
  });
  await useEverything();
  await eventually(() => hasExported("/in/{token}"));
  await new Promise((resolve) => setTimeout(resolve, 2_500)); // two rounds of export
  sink.close();
  sink.closeAllConnections();
});

/** Whether a text is in what was exported so far. */
function hasExported(text: string): boolean {
  return Buffer.concat(exported).includes(text);
}

/** Handles every kind of secret, rightly and wrongly, and remembers them all. */
async function useEverything(): Promise<void> {
  const { demo } = system;
  const wanted = JSON.parse(readFileSync(join(system.dataDir, "secrets.json"), "utf8"));
  for (const [name, value] of Object.entries(wanted)) {
    if (name !== "adminName") secrets.set(`secrets.json ${name}`, String(value));
  }
  secrets.set("person token", demo.person.token);
  // Every identity statement begins with its algorithm.
  secrets.set("identity statement", Buffer.from('{"alg":"EdDS').toString("base64url"));
  for (const [dialect, url] of Object.entries(demo.hooks)) remember(`${dialect} hook`, url);
  remember("database password", new URL(system.parts.databaseUrl).password);

  const session = await ask("POST", "/sessions", undefined, {
    name: demo.admin.name,
    password: demo.admin.password,
  });
  remember("session", String(session.token));
  await ask("GET", "/me", String(session.token));
  const token = await ask("POST", "/tokens", demo.admin.token, { name: "secrets" });
  remember("token", String(token.token));
  await ask("GET", "/me", String(token.token));
  await ask("GET", "/me", `${token.token}x`);
  await ask("DELETE", `/tokens/${token.id}`, demo.admin.token);
  await ask("GET", "/me", String(token.token));
  await ask("POST", "/sessions", undefined, {
    name: demo.admin.name,
    password: "wrong-Pass-word-1",
  });
  remember("wrong password", "wrong-Pass-word-1");
  for (const dialect of ["headgate", "mattermost", "monotree"]) {
    const hook = await ask("POST", "/incoming-hooks", demo.admin.token, {
      dialect,
      action: "chat_message",
      target: { channel_id: demo.channel.id },
      name: `secrets ${dialect}`,
    });
    remember(`new ${dialect} hook`, String(hook.url));
    for (const [method, body] of [
      ["POST", '{"text":"well"}'],
      ["POST", '{"text":5}'],
      ["POST", "{"],
      ["GET", undefined],
    ] as const) {
      await send(String(hook.url), method, body);
    }
    await send(`${hook.url}x`, "POST", '{"text":"unknown"}');
    await ask("DELETE", `/incoming-hooks/${hook.id}`, demo.admin.token);
    await send(String(hook.url), "POST", '{"text":"gone"}');
  }
  await ask("DELETE", "/sessions/current", String(session.token));
}

/** Remembers a secret; of a URL, the part that is the secret. */
function remember(name: string, value: string): void {
  const secret = value.split("/").at(-1) ?? "";
  if (secret.length < 12) throw new Error(`${name} is too short to be searched for`);
  secrets.set(name, secret);
}

async function send(url: string, method: string, body?: string): Promise<void> {
  const answer = await fetch(url, {
    method,
    headers: { "content-type": "application/json" },
    ...(body && { body }),
    signal: AbortSignal.timeout(60_000),
  });
  await answer.text();
}

async function ask(
  method: string,
  path: string,
  token?: string,
  body?: object,
): Promise<Record<string, unknown>> {
  const answer = await fetch(`${system.url}/api/headgate/v1${path}`, {
    method,
    headers: {
      "content-type": "application/json",
      ...(token && { authorization: `Bearer ${token}` }),
    },
    ...(body && { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(60_000),
  });
  const text = await answer.text();
  return text ? JSON.parse(text) : {};
}

/** The names of the secrets that stand in some bytes, plainly or as hex or base64 of them. */
function found(bytes: Buffer): string[] {
  return [...secrets]
    .filter(([, secret]) =>
      [secret, Buffer.from(secret).toString("hex"), Buffer.from(secret).toString("base64")].some(
        (form) => bytes.includes(form),
      ),
    )
    .map(([name]) => name);
}

/** What `read` gives; undefined for a file or folder that a running part has just removed. */
function ifThere<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (thrown) {
    if (thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT") return undefined;
    throw thrown;
  }
}

function* filesBelow(folder: string): Generator<string> {
  for (const entry of ifThere(() => readdirSync(folder, { withFileTypes: true })) ?? []) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* filesBelow(path);
    else if (entry.isFile()) yield path;
  }
}

describe("after every kind of use, no secret", () => {
  test("is in anything that was written to disk, but in the files that keep them for their owner", () => {
    const leaks: string[] = [];
    for (const path of filesBelow(system.dataDir)) {
      const name = relative(system.dataDir, path);
      if (KEEPERS.test(name)) {
        expect(statSync(path).mode & 0o077, name).toBe(0);
        continue;
      }
      const bytes = ifThere(() => readFileSync(path)) ?? Buffer.alloc(0);
      leaks.push(...found(bytes).map((secret) => `${name}: ${secret}`));
    }
    expect(leaks).toEqual([]);
  });

  test("is in any log line", () => {
    const names = readdirSync(system.logFolder);
    expect(names).toEqual(expect.arrayContaining(["gateway.log", "registry.log", "chat.log"]));
    for (const name of names) {
      expect(found(readFileSync(join(system.logFolder, name))), name).toEqual([]);
    }
  });

  test("is in any span or metric that was exported", () => {
    const bytes = Buffer.concat(exported);
    expect(hasExported("/in/{token}")).toBe(true);
    expect(found(bytes)).toEqual([]);
  });

  test("is in any metric page", async () => {
    for (const [name, url] of Object.entries(system.opsUrls)) {
      const answer = await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(60_000) });
      const text = await answer.text();
      expect(text.length, name).toBeGreaterThan(100);
      expect(found(Buffer.from(text)), name).toEqual([]);
    }
  });

  test("is in any row of any table", async () => {
    const log = createLog({ service: "test", level: "error" });
    await using db = await openPostgres({ url: system.parts.databaseUrl, poolMax: 1, log });
    const tables = await db.query<{ name: string }>(
      `select format('%I.%I', table_schema, table_name) as name from information_schema.tables
        where table_schema in ('registry', 'chat') and table_type = 'BASE TABLE'`,
    );
    expect(tables.length).toBeGreaterThan(5);
    for (const { name } of tables) {
      const rows = await db.query<{ row: string }>(`select t::text as row from ${name} t`);
      expect(found(Buffer.from(rows.map(({ row }) => row).join("\n"))), name).toEqual([]);
    }
  });

  test("is in the arguments of any process", () => {
    const roots = [...Object.values(system.services), ...Object.values(system.parts.processes)].map(
      ({ pid }) => pid,
    );
    expect(roots.every((pid) => pid !== undefined)).toBe(true);
    for (const pid of readdirSync("/proc").filter((entry) => /^\d+$/.test(entry))) {
      let line: Buffer;
      try {
        line = readFileSync(`/proc/${pid}/cmdline`);
      } catch {
        continue; // ended meanwhile
      }
      expect(found(line), line.toString().replaceAll("\0", " ")).toEqual([]);
    }
  });
});
