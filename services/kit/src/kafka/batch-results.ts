/** What the answer to a batch means: kept, to be sent again, to be taken apart, or given up. */
import { delayMs } from "../backoff.ts";
import type { Log } from "../log.ts";
import { recordBytes } from "./batch.ts";
import type { Calls } from "./calls.ts";
import {
  NOT_APPENDED,
  OUT_OF_ORDER_SEQUENCE,
  PASSING,
  SESSION_REFUSED,
  TOO_LARGE,
} from "./codes.ts";
import type { Lanes } from "./lanes.ts";
import type { KafkaMetrics } from "./metrics.ts";
import { type Batch, fail, type Group, isFirst, takeBack, unexpose } from "./producer-lane.ts";
import type { Session } from "./producer-session.ts";
import { recordTooLarge } from "./publish-errors.ts";
import type { ReportRefusal } from "./refusals.ts";

/** Acts on the result of each batch, which leaves the `sent` of its lane. */
export type BatchResults = {
  /** The broker has the batch. */
  acknowledged(batch: Batch): void;
  /** A batch that was not acknowledged: it is sent again, or its records wait again, or it is given up. */
  failed(batch: Batch, failure: BatchFailure): void;
  /** Fails the calls of a batch. */
  giveUp(batch: Batch, cause: unknown): void;
  /** Gives the session up, and with it the batches that only this session could send again. */
  loseSession(cause: unknown): void;
  /** A new session: numbers begin at 0. Nothing may be on the wire. */
  restart(): void;
};

/** Why a batch was not acknowledged. */
export type BatchFailure = {
  /** The broker's answer; undefined where there was none. */
  readonly code: number | undefined;
  /** It was handed to a connection. */
  readonly sent: boolean;
  /** Whether the session under which it was sent is still the current one. */
  readonly current: boolean;
  readonly failure: unknown;
};

/** Bytes below which a refused batch is not made smaller. */
const BATCH_BYTES_LEAST = 1_000;
const RETRY = { firstMs: 20, mostMs: 1_000 };

/** `locate` asks where partitions are. */
export function createBatchResults(options: {
  readonly log: Log;
  readonly metrics: KafkaMetrics;
  readonly calls: Calls;
  readonly lanes: Lanes;
  readonly session: () => Session;
  readonly locate: () => void;
  readonly reportRefusal: ReportRefusal;
}): BatchResults {
  const { log, metrics, calls, lanes, locate } = options;
  return { acknowledged, failed, giveUp, loseSession, restart };

  function acknowledged(batch: Batch): void {
    const { lane, groups, count } = batch;
    remove(batch);
    lane.attempt = 0;
    lane.retryAt = 0;
    metrics.sent(lane.topic, count);
    for (const { call, records } of groups) calls.acknowledge(call, records.length);
  }

  function failed(batch: Batch, { code, sent, current, failure }: BatchFailure): void {
    const first = isFirst(batch);
    remove(batch);
    const refused = code === undefined ? !sent : NOT_APPENDED.has(code);
    if (!refused) batch.unsure = true;
    else if (!batch.unsure) unexpose(batch);
    const passes =
      code === undefined || PASSING.has(code) || (code === OUT_OF_ORDER_SEQUENCE && !first);
    const cause =
      failure ?? Object.assign(new Error(`the broker answered with error ${code}`), { code });
    const now = performance.now();
    if (batch.unsure) {
      if (passes && current && batch.deadline > now) {
        tryAgain(batch, now);
      } else {
        giveUp(batch, cause);
        if (current) loseSession(cause);
      }
    } else if (code !== undefined && TOO_LARGE.has(code)) {
      shrink(batch);
    } else {
      const isSessionRefused = code !== undefined && SESSION_REFUSED.has(code) && !passes;
      if (!passes && !isSessionRefused) {
        giveUp(batch, cause);
        options.reportRefusal(cause, { topic: batch.lane.topic });
      }
      tryAgain(batch, now);
      if (isSessionRefused && current) loseSession(cause);
    }
  }

  function tryAgain(batch: Batch, now: number): void {
    const { lane } = batch;
    fail(batch);
    lane.attempt++;
    lane.retryAt = now + delayMs(RETRY, lane.attempt);
    locate();
  }

  /** The topic takes less than is declared: batches of the lane are halved from now on; one that cannot be is refused. */
  function shrink(batch: Batch): void {
    const { lane } = batch;
    const groups = batch.groups.flatMap(halve);
    const [only] = groups.length === 1 ? groups : [];
    if (only) {
      const reason = calls.refuse(only.call, recordTooLarge());
      metrics.sent(lane.topic, only.records.length, reason);
    } else {
      lane.bytesMax = Math.max(BATCH_BYTES_LEAST, Math.floor(batch.bytes.length / 2));
      const { topic, partition, bytesMax } = lane;
      log.warn("log.batch_refused", { topic, partition, bytes: batch.bytes.length, bytesMax });
    }
    fail({ ...batch, groups });
  }

  function giveUp(batch: Batch, cause: unknown): void {
    for (const { call, records } of batch.groups) {
      const reason = calls.fail(call, cause);
      metrics.sent(batch.lane.topic, records.length, reason);
    }
  }

  function loseSession(cause: unknown): void {
    for (const lane of lanes.all) {
      for (const batch of lane.failed.splice(0)) {
        if (batch.unsure) giveUp(batch, cause);
        else fail(batch);
      }
    }
    options.session().lose(cause);
  }

  function restart(): void {
    for (const lane of lanes.all) {
      takeBack(lane);
      lane.sequence = 0;
      lanes.queue(lane);
    }
  }
}

/** Two groups for one where the records of the call need not be kept together. */
function halve(group: Group): Group[] {
  const { call, records, bytes } = group;
  if (call.atomic || records.length === 1) return [group];
  const half = records.length >> 1;
  const first = records.slice(0, half);
  const firstBytes = first.reduce((sum, record) => sum + recordBytes(record), 0);
  return [
    { call, records: first, bytes: firstBytes },
    { call, records: records.slice(half), bytes: bytes - firstBytes },
  ];
}

function remove(batch: Batch): void {
  const { sent } = batch.lane;
  sent.splice(sent.indexOf(batch), 1);
}
