/** Rpcs of a running system are for its gateway: another process on the machine that reaches the ports gets nothing. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { AppError } from "@headgate/kit/errors";
import { openClient } from "@headgate/kit/grpc";
import { createId } from "@headgate/kit/ids";
import type { System } from "@headgate/local/system";
import { ChatService } from "@headgate/proto/chat/v1/chat";
import { RateLimiterService } from "@headgate/proto/ratelimiter/v1/rate_limiter";
import { ManagementService } from "@headgate/proto/registry/v1/management";
import { RegistryService } from "@headgate/proto/registry/v1/registry";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import { createIssuer } from "../support/identity.ts";
import { useRunningSystem } from "../support/system.ts";

let system: System;

beforeAll(async () => {
  system = await useRunningSystem();
});

/** Where a service serves its rpcs, as every process on the machine can find out. */
function addressOf(service: string): string {
  const ports = JSON.parse(readFileSync(join(system.dataDir, "ports.json"), "utf8"));
  return `127.0.0.1:${ports[`${service}-rpc`]}`;
}

/** What a call fails with; its answer, should it get one. */
async function failureOf(call: Promise<unknown>): Promise<unknown> {
  return await call.then(
    (answer) => answer,
    (thrown: unknown) => (thrown instanceof AppError ? thrown.reason : thrown),
  );
}

test("a process that holds no key cannot make a token of the system's administrator", async () => {
  const peer = { address: addressOf("registry"), deadlineMs: 30_000 };
  const registry = openClient(RegistryService, peer);
  onTestFinished(() => registry[Symbol.asyncDispose]());
  const management = openClient(ManagementService, peer);
  onTestFinished(() => management[Symbol.asyncDispose]());
  const thing = { case: "userName", value: system.demo.admin.name } as const;
  const userId = await registry.lookUp({ thing }).then(
    ({ user }) => user?.id ?? "",
    () => "",
  );
  expect(userId).toBe("");
  const admin = await fetch(`${system.url}/api/headgate/v1/me`, {
    headers: { authorization: `Bearer ${system.demo.admin.token}` },
  });
  const { id } = (await admin.json()) as { id: string };
  const token = await management.createToken({ actor: { userId: id }, name: "mine" }).then(
    ({ secret }) => secret,
    ({ reason }: AppError) => reason,
  );
  expect(token).toBe("identity_missing");
});

test.each(["a key of its own", "no key"])("no service answers a process with %s", async (which) => {
  const intruder = which === "no key" ? {} : createIssuer().access;
  const peerOf = (audience: string) => ({
    address: addressOf(audience),
    audience,
    access: intruder,
    deadlineMs: 30_000,
  });
  await using chat = openClient(ChatService, peerOf("chat"));
  await using limiter = openClient(RateLimiterService, peerOf("rate-limiter"));
  await using registry = openClient(RegistryService, peerOf("registry"));
  const tokenDigest = createHash("sha256").update(system.demo.admin.token).digest();
  const failures = await Promise.all(
    [
      chat.getMessages({ ids: [createId()] }),
      limiter.peek({ budgets: [] }),
      registry.resolveToken({ tokenDigest }),
      registry.reserveNumbers({ count: 1 }),
    ].map(failureOf),
  );
  const reason = which === "no key" ? "identity_missing" : "identity_invalid";
  expect(failures).toEqual([reason, reason, reason, reason]);
});
