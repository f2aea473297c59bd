/** One function per rpc that the gate calls, shaped as it asks; each with its deadline. */

import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { AppError } from "@headgate/kit/errors";
import type { Client } from "@headgate/kit/grpc";
import type { ChatService, Message } from "@headgate/proto/chat/v1/chat";
import {
  Decision,
  type RateLimiterService,
  type Admission as WireAdmission,
} from "@headgate/proto/ratelimiter/v1/rate_limiter";
import type {
  Channel,
  RegistryService,
  ResolveHookResponse,
} from "@headgate/proto/registry/v1/registry";
import type { AskAdmission, AskedAdmission } from "./admissions.ts";
import type { Admission } from "./dialect.ts";

/** ms for an answer that a sender waits for. */
const DEADLINE_MS = 1_000;
/** ms for an answer of the rate limiter: without one the sender is let through. */
const RATE_LIMIT_DEADLINE_MS = 500;

const DECISIONS: Readonly<Record<number, Admission["decision"]>> = {
  [Decision.ADMITTED]: "admitted",
  [Decision.LIMITED]: "limited",
  [Decision.REPLAY]: "replay",
  [Decision.CONFLICT]: "conflict",
  [Decision.IN_PROGRESS]: "in_progress",
};

/** In whose name a management call is made: its actor. */
export function userOf({ actor }: { readonly actor?: { readonly userId?: string } }) {
  return actor?.userId || undefined;
}

/** What the registry is asked. */
export function createRegistryClient(registry: Client<typeof RegistryService>) {
  return {
    /** The hook of a digest with what it names; undefined: none. @throws AppError unavailable */
    async resolveHook(digest: Uint8Array): Promise<ResolveHookResponse | undefined> {
      return orUndefined(
        registry.resolveHook({ credentialDigest: digest }, { deadlineMs: DEADLINE_MS }),
      );
    },

    /** A channel by name; undefined: none. @throws AppError unavailable */
    async lookUpChannel(teamId: string, name: string): Promise<Channel | undefined> {
      const found = await orUndefined(
        registry.lookUp(
          { teamId, thing: { case: "channelName", value: name } },
          { deadlineMs: DEADLINE_MS },
        ),
      );
      return found?.channel;
    },

    /** The first of a block of `count` integers that nobody else will get. @throws AppError unavailable */
    async reserveNumbers(count: number): Promise<bigint> {
      return (await registry.reserveNumbers({ count }, { deadlineMs: DEADLINE_MS })).first;
    },

    /** Notes when hooks were last used; 1 to 1,000 of them. @throws AppError unavailable */
    async touchHooks(uses: readonly { hookId: string; usedMs: number }[]): Promise<void> {
      const list = uses.map(({ hookId, usedMs }) => ({ hookId, usedAt: timestampFromMs(usedMs) }));
      await registry.touchHooks({ uses: list }, { deadlineMs: DEADLINE_MS });
    },
  };
}

/** What the rate-limiter is asked. */
export function createRateLimiterClient(limiter: Client<typeof RateLimiterService>): AskAdmission {
  return {
    async admit(items: readonly AskedAdmission[], callers): Promise<Admission[]> {
      const asked = items.map(({ budgets, claim }) => ({
        budgets: budgets.map(({ key, rule }) => ({ key, rule })),
        ...(claim && { idempotency: claim }),
      }));
      const settings = { deadlineMs: RATE_LIMIT_DEADLINE_MS, ...(callers && { callers }) };
      const { admissions } = await limiter.admit({ items: asked }, settings);
      if (admissions.length !== items.length) {
        throw new AppError(
          "internal",
          "admission_count",
          "The rate-limiter answered for another number of requests.",
        );
      }
      return admissions.map(readAdmission);
    },

    async peek(budgets) {
      const asked = budgets.map(({ key, rule }) => ({ key, rule }));
      return (await limiter.peek({ budgets: asked }, { deadlineMs: RATE_LIMIT_DEADLINE_MS }))
        .states;
    },

    async settle(settlements, callers): Promise<void> {
      const settings = { deadlineMs: RATE_LIMIT_DEADLINE_MS, ...(callers && { callers }) };
      await limiter.settle({ settlements: [...settlements] }, settings);
    },
  };
}

/** The messages of these ids that exist. @throws AppError unavailable */
export function createGetMessages(chat: Client<typeof ChatService>) {
  return async function getMessages(ids: readonly string[]): Promise<Message[]> {
    return (await chat.getMessages({ ids: [...ids] }, { deadlineMs: DEADLINE_MS })).messages;
  };
}

function readAdmission(admission: WireAdmission): Admission {
  const decision = DECISIONS[admission.decision];
  if (decision === undefined) {
    throw new AppError(
      "internal",
      "admission_unknown",
      "The rate-limiter gave an answer we do not know.",
    );
  }
  return {
    decision,
    budgets: admission.budgets,
    retryAfterMs: admission.retryAfterMs,
    answer: admission.answer,
  };
}

/** undefined for not_found; a registry that does not answer in time is as good as away. */
async function orUndefined<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (thrown) {
    const { code } = AppError.from(thrown);
    if (code === "not_found") return undefined;
    if (code !== "deadline_exceeded") throw thrown;
    throw new AppError("unavailable", "registry_away", "The registry did not answer in time.", {
      cause: thrown,
      retryAfterMs: 1000,
    });
  }
}
