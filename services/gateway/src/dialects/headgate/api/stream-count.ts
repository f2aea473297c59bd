/** Counts open streams, of the process and of each account. */
import { AppError } from "@headgate/kit/errors";

/** ms after which a refused reader may come again. */
const RETRY_AFTER_MS = 5_000;

/** No stream is open yet. */
export function createStreamCount({
  streamsMax,
  perAccountMax,
}: {
  streamsMax: number;
  perAccountMax: number;
}) {
  const byAccount = new Map<string, number>();
  let open = 0;
  return {
    /**
     * Counts a stream of an account in; returns how to count it out, to be called once.
     * @throws AppError resource_exhausted `account_streams_full`, unavailable `streams_full`
     */
    enter(userId: string): () => void {
      const own = byAccount.get(userId) ?? 0;
      if (own >= perAccountMax) {
        const message = `One account may have ${perAccountMax} live streams at a time.`;
        const details = { retryAfterMs: RETRY_AFTER_MS };
        throw new AppError("resource_exhausted", "account_streams_full", message, details);
      }
      if (open >= streamsMax) throw streamsFull();
      open += 1;
      byAccount.set(userId, own + 1);
      return function leave() {
        open -= 1;
        const left = (byAccount.get(userId) ?? 1) - 1;
        if (left > 0) byAccount.set(userId, left);
        else byAccount.delete(userId);
      };
    },
  };
}

/** No stream is taken in for now. */
export function streamsFull(): AppError {
  const message = "There are too many live streams.";
  return new AppError("unavailable", "streams_full", message, { retryAfterMs: RETRY_AFTER_MS });
}
