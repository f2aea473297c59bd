/** The rpcs of the rate-limiter. */
import { type Implementation, implement } from "@headgate/kit/grpc";
import { OURS } from "@headgate/kit/semconv";
import { RateLimiterService } from "@headgate/proto/ratelimiter/v1/rate_limiter";
import { fromVerdict, toAsks, toBudgets, toSettlements } from "./messages.ts";
import type { RateLimiter } from "./service.ts";

/** Serves the rules. */
export function createRateLimiterRpc(limiter: RateLimiter): Implementation {
  return implement(RateLimiterService, {
    async admit(request, { span }) {
      const { verdicts, degraded } = await limiter.admit(toAsks(request));
      // A refusal is no failure of the call: the span says it beside its status. Of several, the first speaks.
      if (span && verdicts[0]) span.set({ [OURS.rateLimitDecision]: verdicts[0].decision });
      return { admissions: verdicts.map(fromVerdict), degraded };
    },
    async peek(request) {
      const { states, degraded } = await limiter.peek(toBudgets(request));
      return { states: [...states], degraded };
    },
    async settle(request) {
      return limiter.settle(toSettlements(request));
    },
  });
}
