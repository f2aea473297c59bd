/**
 * Asks the rate-limiter for many requests in one call: while a call is under way the next requests gather, so that the
 * calls grow with the load instead of in number.
 */
import { AppError } from "@headgate/kit/errors";
import type { Log } from "@headgate/kit/log";
import { OUR_METRIC, OURS } from "@headgate/kit/semconv";
import { activeSpan, counter, type SpanContext } from "@headgate/kit/telemetry";
import type { Admission, Budget, Claim } from "./dialect.ts";

/** One request to judge. */
export type AskedAdmission = {
  readonly budgets: readonly Budget[];
  readonly claim?: Claim | undefined;
};

/** An answer to keep for a claimed key; empty: the claim is forgotten. */
export type Settlement = {
  readonly scope: string;
  readonly key: string;
  readonly answer: Uint8Array;
};

/**
 * What is needed of the rate-limiter; each call takes 1 to 1,000 and throws AppError unavailable when it is away. `callers`
 * are the spans of the requests it is made for; absent where nothing is traced.
 */
export type AskAdmission = {
  admit(
    items: readonly AskedAdmission[],
    callers?: readonly SpanContext[] | undefined,
  ): Promise<Admission[]>;
  settle(
    settlements: readonly Settlement[],
    callers?: readonly SpanContext[] | undefined,
  ): Promise<void>;
  peek(budgets: readonly Budget[]): Promise<Admission["budgets"]>;
};

/** How the gate asks. */
export type Admissions = {
  /** Never throws: without the rate-limiter everybody is let through. */
  admit(budgets: readonly Budget[], claim?: Claim): Promise<Admission>;
  /** Never throws: without the rate-limiter each budget looks untouched. */
  peek(budgets: readonly Budget[]): Promise<Admission["budgets"]>;
  /** Never throws: a claim that could not be settled runs out by itself, and the id that the key makes stays. */
  settle(claim: Claim, answer: Uint8Array | undefined): Promise<void>;
};

/** Most requests in one call. */
const ITEMS_MAX = 500;
/** Most calls under way at once; what comes meanwhile gathers. */
const CALLS_MAX = 4;
/** Most requests that may gather; more are let through unjudged, for then the limiter is as good as away. */
const WAITING_MAX = 20_000;
/** ms in which nobody asks again after the rate-limiter was found away, so that its absence costs senders no wait. */
const AWAY_MS = 1_000;

const LET_THROUGH: Admission = {
  decision: "admitted",
  budgets: [],
  retryAfterMs: 0,
  answer: new Uint8Array(),
};
const LET_THROUGH_LABELS = labelsOf("admitted", "away");
const DONE = Promise.resolve(LET_THROUGH);

type Waiting<Item, Answer> = {
  readonly item: Item;
  readonly caller: SpanContext | undefined;
  readonly resolve: (answer: Answer) => void;
};

/** Wires the batching. */
export function createAdmissions({
  limiter,
  log,
  now = () => performance.now(),
}: {
  limiter: AskAdmission;
  log: Log;
  now?: () => number;
}): Admissions {
  const decisions = counter(OUR_METRIC.rateLimitDecisions, {
    description: "Answers about budgets and keys.",
  });
  let awayUntilMs = 0;
  const admits = createBatches<AskedAdmission, Admission>(limiter.admit, LET_THROUGH, onAway);
  const peeks = createBatches<Budget, Admission["budgets"][number] | undefined>(
    limiter.peek,
    undefined,
    onAway,
  );
  const settles = createBatches<Settlement, undefined>(
    async (items, callers) => {
      await limiter.settle(items, callers);
      return items.map(() => undefined);
    },
    undefined,
    onAway,
  );

  return {
    admit(budgets, claim) {
      if (budgets.length === 0 && claim === undefined) return DONE;
      if (now() < awayUntilMs) {
        decisions.add(1, LET_THROUGH_LABELS);
        return DONE;
      }
      return admits({ budgets, claim }).then(count);
    },
    async peek(budgets) {
      if (budgets.length === 0) return [];
      if (now() < awayUntilMs) return budgets.map(untouched);
      const states = await Promise.all(budgets.map(peeks));
      return states.map((state, at) => state ?? untouched(budgets[at] as Budget)); // one state per budget
    },
    settle: ({ scope, key }, answer) => {
      if (now() < awayUntilMs) return Promise.resolve();
      return settles({ scope, key, answer: answer ?? new Uint8Array() });
    },
  };

  function count(admission: Admission): Admission {
    if (admission === LET_THROUGH) decisions.add(1, LET_THROUGH_LABELS);
    else decisions.add(1, labelsOf(admission.decision, "asked"));
    return admission;
  }

  function onAway(thrown: unknown): void {
    if (now() >= awayUntilMs)
      log.warn("rate-limiter is away; requests are let through", { error: AppError.from(thrown) });
    awayUntilMs = now() + AWAY_MS;
  }
}

function labelsOf(decision: Admission["decision"], mode: "asked" | "away") {
  return { [OURS.rateLimitDecision]: decision, [OURS.rateLimitMode]: mode };
}

function untouched({ rule }: Budget): Admission["budgets"][number] {
  const limit = rule.case === "fixedWindow" ? rule.value.limit : rule.value.burst;
  return { limit, remaining: limit, resetMs: 0 };
}

function createBatches<Item, Answer>(
  ask: (
    items: readonly Item[],
    callers: readonly SpanContext[] | undefined,
  ) => Promise<readonly Answer[]>,
  otherwise: Answer,
  onFailure: (thrown: unknown) => void,
): (item: Item) => Promise<Answer> {
  let waiting: Waiting<Item, Answer>[] = [];
  let calls = 0;

  return (item) => {
    if (waiting.length >= WAITING_MAX) return Promise.resolve(otherwise);
    return new Promise((resolve) => {
      waiting.push({ item, caller: activeSpan(), resolve });
      // The requests that the same turn of the loop reads go in the same call.
      if (waiting.length === 1 && calls < CALLS_MAX) setImmediate(run);
    });
  };

  function run(): void {
    while (waiting.length > 0 && calls < CALLS_MAX) {
      const batch = waiting.length <= ITEMS_MAX ? waiting : waiting.slice(0, ITEMS_MAX);
      waiting = waiting.length <= ITEMS_MAX ? [] : waiting.slice(ITEMS_MAX);
      calls += 1;
      void send(batch);
    }
  }

  async function send(batch: readonly Waiting<Item, Answer>[]): Promise<void> {
    let answers: readonly Answer[] = [];
    try {
      const callers = batch.flatMap(({ caller }) => caller ?? []);
      answers = await ask(
        batch.map(({ item }) => item),
        callers.length > 0 ? callers : undefined,
      );
    } catch (thrown) {
      onFailure(thrown);
    }
    calls -= 1;
    for (let at = 0; at < batch.length; at++) batch[at]?.resolve(answers[at] ?? otherwise);
    run();
  }
}
