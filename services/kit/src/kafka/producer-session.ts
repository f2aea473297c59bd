/** The producer id that sequence numbers belong to, and how a new one is had. */
import type { Log } from "../log.ts";
import type { Cluster } from "./cluster.ts";
import { keepTrying } from "./pause.ts";

/** A producer id as the brokers gave it. */
export type ProducerId = { readonly id: bigint; readonly epoch: number };

/** The session of a producer. */
export type Session = {
  /** Undefined while a new one is awaited: nothing may be sent. */
  readonly current: ProducerId | undefined;
  /** Says that a request under this session is under way; the returned function says that it is answered. */
  hold(): () => void;
  /** Gives the id up. The next one is asked for once nothing of this one is under way. */
  lose(cause: unknown): void;
};

const RETRY = { firstMs: 20, mostMs: 1_000 };

/** Asks for a first id at once, and keeps asking while brokers are away. `onBegun`: there is a new one, numbers begin at 0. */
export function openSession(options: {
  readonly cluster: Cluster;
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly onBegun: () => void;
}): Session {
  const { cluster, log, signal, onBegun } = options;
  let current: ProducerId | undefined;
  let held = 0;
  let asking = false;

  renew();
  return {
    get current() {
      return current;
    },
    hold() {
      held++;
      return function release() {
        held--;
        renew();
      };
    },
    lose(cause) {
      if (!current) return;
      current = undefined;
      log.warn("log.producer_renewed", { error: cause });
      renew();
    },
  };

  function renew(): void {
    if (asking || current || held > 0 || signal.aborted) return;
    asking = true;
    const onFailure = (thrown: unknown, attempt: number) => {
      cluster.reportRefusal(thrown, { request: "InitProducerId" });
      if (attempt === 4) log.warn("log.unavailable", { error: thrown });
    };
    void keepTrying(ask, { ...RETRY, signal, onFailure }).finally(() => {
      asking = false;
    });
  }

  async function ask(): Promise<void> {
    const link = await cluster.anyLink();
    const { producerId, producerEpoch } = await link.call("InitProducerId", {
      transactionalId: null,
      transactionTimeout: 60_000, // of no meaning without transactions, but must be there
    });
    current = { id: BigInt(producerId), epoch: producerEpoch };
    onBegun();
  }
}
