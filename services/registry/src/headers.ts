/** Headers of announced records: CloudEvents' Kafka binding (binary mode) and the trace that changed the thing. */
import { topics } from "@headgate/proto/topics";

type Deps<Context> = {
  createId: () => string;
  now: () => Date;
  activeSpan: () => Context | undefined;
  formatTraceparent: (context: Context) => string;
};

/** A maker of headers, for one record a call. */
export function createHeaders<Context>({
  createId,
  now,
  activeSpan,
  formatTraceparent,
}: Deps<Context>): () => Record<string, string> {
  return function headersNow() {
    const span = activeSpan();
    return {
      ce_specversion: "1.0",
      ce_id: createId(),
      ce_type: topics.registryChanged.eventType,
      ce_source: "headgate",
      ce_time: now().toISOString(),
      "content-type": "application/protobuf",
      ...(span ? { traceparent: formatTraceparent(span) } : {}),
    };
  };
}
