/** The suite that every dialect passes: what the gateway promises in whatever words a dialect says it. */
import { request as httpRequest } from "node:http";
import { AppError } from "@headgate/kit/errors";
import { isUuid } from "@headgate/kit/ids";
import { expect, test } from "vitest";
import type { Dialect } from "../dialect.ts";
import { openTestDoor, type TestDoor } from "../testing/front-door.ts";

/** What the suite needs to know of a dialect to speak it. */
export type Sample = {
  /** A credential of the right form. */
  readonly credential: string;
  /** Another of the right form, which nobody has. */
  readonly unknownCredential: string;
  /** A body that is accepted, and its type. */
  readonly body: string;
  readonly contentType: string;
  /** A body that is refused for its form. */
  readonly malformedBody: string;
  /** More bytes than the dialect takes. */
  readonly tooManyBytes: number;
  /** Status of a body over the bound, where the upstream does not say 413. */
  readonly tooLargeStatus?: number;
  /** How the dialect writes a trace id as its X-Request-Id; as it is unless told. */
  readonly requestIdOf?: (traceId: string) => string;
  /** Status of a log that is away, where the upstream does not say 503. */
  readonly unavailableStatus?: number;
};

type Answer = { status: number; headers: NodeJS.Dict<string | string[]>; body: string };

/** Registers the tests of a dialect. */
export function conformance(dialect: Dialect, sample: Sample): void {
  const path = dialect.hookPath(sample.credential);

  check(
    "answers 2xx once the log has the event, which names its hook, team and trace",
    async (door) => {
      const hook = door.addHook(dialect.name, sample.credential);
      const answer = await send(door, { path });
      expect(answer.status).toBeGreaterThanOrEqual(200);
      expect(answer.status).toBeLessThan(300);
      const [event] = door.published;
      expect(event?.origin).toMatchObject({
        dialect: dialect.name,
        hookId: hook.id,
      });
      const requestIdOf = sample.requestIdOf ?? ((traceId) => traceId);
      expect(answer.headers["x-request-id"]).toBe(requestIdOf(event?.origin?.traceId ?? ""));
      expect(event?.teamId).toBe(door.team.id);
      expect(isUuid(event?.id ?? "")).toBe(true);
      expect(event?.acceptedAt).toBeDefined();
    },
  );

  check("answers a wrong method with 405 and what is allowed", async (door) => {
    door.addHook(dialect.name, sample.credential);
    for (const method of ["GET", "PUT", "DELETE", "PATCH"]) {
      const answer = await send(door, { path, method });
      expect(answer.status).toBe(405);
      expect(String(answer.headers.allow)).toContain("POST");
    }
    expect(door.published).toEqual([]);
  });

  check("refuses an unknown credential without telling it back", async (door) => {
    const answer = await send(door, { path: dialect.hookPath(sample.unknownCredential) });
    refused(door, answer);
    expect(JSON.stringify(answer)).not.toContain(sample.unknownCredential);
    expect(door.lines.join("\n")).not.toContain(sample.unknownCredential);
  });

  check("refuses a hook of another dialect as if it were unknown", async (door) => {
    const unknown = await send(door, { path: dialect.hookPath(sample.unknownCredential) });
    door.addHook("another", sample.credential);
    const answer = await send(door, { path });
    refused(door, answer);
    expect(answer.status).toBe(unknown.status);
  });

  check("publishes nothing of a malformed body", async (door) => {
    door.addHook(dialect.name, sample.credential);
    refused(door, await send(door, { path, body: sample.malformedBody }));
  });

  check("refuses a body over the bound, declared or streamed", async (door) => {
    door.addHook(dialect.name, sample.credential);
    const body = "x".repeat(sample.tooManyBytes);
    for (const isStreamed of [false, true]) {
      const answer = await send(door, { path, body, isStreamed });
      refused(door, answer);
      expect(answer.status).toBe(sample.tooLargeStatus ?? 413);
    }
  });

  check("says when to come again while the log is away", async (door) => {
    door.addHook(dialect.name, sample.credential);
    door.faults.log = new AppError("unavailable", "log_unavailable", "The log is away.");
    const answer = await send(door, { path });
    refused(door, answer);
    expect(answer.status).toBe(sample.unavailableStatus ?? 503);
    expect(String(answer.headers["retry-after"])).toMatch(/^[1-9]\d*$/);
  });

  check("refuses soon under overload and says when to come again", async (door) => {
    door.addHook(dialect.name, sample.credential);
    door.faults.isFull = true;
    const answer = await send(door, { path });
    refused(door, answer);
    expect(answer.status).toBe(sample.unavailableStatus ?? 503);
    expect(String(answer.headers["retry-after"])).toMatch(/^[1-9]\d*$/);
  });

  check("goes on with hooks it knows while registry and rate-limiter are away", async (door) => {
    door.addHook(dialect.name, sample.credential, { limits: { perMinute: 60, burst: 10 } });
    door.faults.isRegistryAway = true;
    door.faults.isLimiterAway = true;
    expect((await send(door, { path })).status).toBeLessThan(300);
    expect(door.published).toHaveLength(1);
  });

  check("does not call a credential unknown while the registry is away", async (door) => {
    door.faults.isRegistryAway = true;
    const answer = await send(door, { path });
    refused(door, answer);
    expect(answer.status).toBe(sample.unavailableStatus ?? 503);
  });

  check("keeps what nobody foresaw to itself", async (door) => {
    door.addHook(dialect.name, sample.credential);
    door.faults.log = new TypeError("secret detail of a bug");
    const answer = await send(door, { path });
    refused(door, answer);
    expect(answer.status).toBe(500);
    expect(JSON.stringify(answer)).not.toContain("secret detail");
  });

  check("never tells a credential, in answers or log lines", async (door) => {
    door.addHook(dialect.name, sample.credential);
    const answers = [
      await send(door, { path }),
      await send(door, { path, method: "GET" }),
      await send(door, { path, body: sample.malformedBody }),
      await send(door, { path: `${path}/nowhere` }),
    ];
    expect(JSON.stringify(answers)).not.toContain(sample.credential);
    expect(door.lines.join("\n")).not.toContain(sample.credential);
  });

  function check(guarantee: string, run: (door: TestDoor) => Promise<void>): void {
    test(`${dialect.name}: ${guarantee}`, async () => {
      await using door = await openTestDoor([dialect]);
      await run(door);
    });
  }

  function send(
    door: TestDoor,
    {
      path,
      method = "POST",
      body = sample.body,
      isStreamed = false,
    }: { path: string; method?: string; body?: string; isStreamed?: boolean },
  ): Promise<Answer> {
    return sendRaw(door.port, {
      path,
      method,
      headers: {
        "content-type": sample.contentType,
        ...(isStreamed
          ? { "transfer-encoding": "chunked" }
          : { "content-length": String(Buffer.byteLength(body)) }),
      },
      body,
    });
  }
}

/** Sends exactly these headers and this body. Every answer must carry a request id. */
export function sendRaw(
  port: number,
  {
    path,
    method = "POST",
    headers = {},
    body = "",
  }: {
    path: string;
    method?: string;
    headers?: NodeJS.Dict<string>;
    body?: string | Buffer;
  },
): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  // One connection a request: the door's drain waits for none.
  const req = httpRequest(
    { host: "127.0.0.1", port, path, method, headers, agent: false },
    (res) => {
      const chunks: Buffer[] = [];
      res.on("data", (chunk: Buffer) => chunks.push(chunk));
      res.on("error", reject);
      res.on("end", () => {
        const answer = {
          status: res.statusCode ?? 0,
          headers: res.headers,
          body: Buffer.concat(chunks).toString(),
        };
        expect(String(answer.headers["x-request-id"])).toMatch(/^([0-9a-f]{32}|[a-z0-9]{26})$/);
        resolve(answer);
      });
    },
  );
  req.on("error", reject);
  req.end(body);
  return promise;
}

function refused(door: TestDoor, answer: Answer): void {
  expect(answer.status).toBeGreaterThanOrEqual(400);
  expect(door.published).toEqual([]);
}
