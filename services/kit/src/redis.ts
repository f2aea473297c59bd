/**
 * The door to Redis: commands that never wait past their limit, and a connection that comes back by itself. When the
 * server is away or frozen, commands fail at once, not each after a wait of its own.
 */
import { ErrorReply, RESP_TYPES } from "redis";
import { AppError } from "./errors.ts";
import type { Log } from "./log.ts";
import { type Client, openConnection } from "./redis/connection.ts";
import { createMeter } from "./redis/meter.ts";
import { isNoScript, type Script } from "./redis/script.ts";

export { defineScript, type Script } from "./redis/script.ts";

/** Ms a command may take unless said otherwise. */
const COMMAND_MS = 250;

/** What a command may be given. */
export type RedisArgument = string | number | Buffer;

/** Runs commands and scripts. Bulk strings come back as Buffers, integers as numbers, nil as null. */
export type Redis = AsyncDisposable & {
  /** Whether commands are sent at the moment. */
  readonly ready: boolean;
  /** Runs a script by its digest, and hands it over when the server does not know it. Throws as `command` does. */
  evaluate(
    script: Script,
    keys: readonly string[],
    args: readonly RedisArgument[],
  ): Promise<unknown>;
  /**
   * Runs one command.
   * @throws AppError `redis_unavailable` (unavailable) within the limit, whatever the server does: it may still carry
   * the command out later. `redis_rejected` (internal) when the server says the command is wrong.
   */
  command(name: string, ...args: readonly RedisArgument[]): Promise<unknown>;
};

/** Opens the door; also when the server is away. Waits at most the limit of one command for the first connection. */
export async function openRedis(options: {
  url: string;
  /** Ms a command may take, 250. */
  timeoutMs?: number;
  log: Log;
}): Promise<Redis> {
  const { url, timeoutMs = COMMAND_MS, log } = options;
  const connection = openConnection({ url, timeoutMs, log });
  const measured = createMeter(url);
  await connection.firstTry;

  return {
    get ready() {
      return connection.current() !== undefined;
    },
    command(name, ...args) {
      return measured(name.toUpperCase(), () => send([name, ...args.map(toArgument)]));
    },
    evaluate(script, keys, args) {
      return measured(`EVALSHA ${script.name}`, async () => {
        const rest = [String(keys.length), ...keys, ...args.map(toArgument)];
        try {
          return await send(["EVALSHA", script.sha, ...rest]);
        } catch (thrown) {
          if (!isNoScript(thrown)) throw thrown;
          return send(["EVAL", script.lua, ...rest]);
        }
      });
    },
    [Symbol.asyncDispose]: connection.close,
  };

  function send(args: (string | Buffer)[]): Promise<unknown> {
    const client = connection.current();
    return client ? sendBy(client, args) : Promise.reject(unavailable());
  }

  function sendBy(client: Client, args: (string | Buffer)[]): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    let settled = false;
    // A stalled event loop runs timers before it reads replies that are there already: one turn more for them.
    const timer = setTimeout(() => setImmediate(onLate), timeoutMs);
    client.sendCommand(args, { typeMapping: BYTES }).then(
      (reply) => settle(() => resolve(reply)),
      (thrown) => settle(() => reject(toAppError(thrown))),
    );
    return promise;

    function onLate(): void {
      if (settled) return;
      connection.suspect(client);
      settle(() => reject(unavailable()));
    }

    function settle(act: () => void): void {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      act();
    }
  }
}

const BYTES = { [RESP_TYPES.BLOB_STRING]: Buffer };

/** Error replies of a server that cannot serve now, but may later. */
const AWAY_WORDS =
  "(LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|BUSY|OOM|TRYAGAIN|NOREPLICAS|MISCONF|NOAUTH|WRONGPASS|NOPERM)";
/**
 * The same, and as Redis before 7 writes the error of a command within a script:
 * `ERR Error running script (…): @user_script:9: @user_script: 9: -OOM command not allowed …`.
 */
const AWAY_REPLY = new RegExp(
  `^(ERR Error running script .*@user_script: ?\\d+: -)?${AWAY_WORDS}\\b`,
);

function toArgument(value: RedisArgument): string | Buffer {
  return typeof value === "number" ? String(value) : value;
}

function toAppError(thrown: unknown): unknown {
  if (!(thrown instanceof ErrorReply)) return unavailable(thrown);
  if (isNoScript(thrown)) return thrown;
  if (AWAY_REPLY.test(thrown.message)) return unavailable(thrown);
  return new AppError("internal", "redis_rejected", "Something went wrong on our side.", {
    cause: thrown,
  });
}

function unavailable(cause?: unknown): AppError {
  return new AppError("unavailable", "redis_unavailable", "Redis is not available.", { cause });
}
