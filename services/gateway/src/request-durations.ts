/** How long requests took, hook requests and those of the management APIs alike. */
import { ATTR, METRIC } from "@headgate/kit/semconv";
import { histogram } from "@headgate/kit/telemetry";

/** Notes one answered request. `template` is its route, never its path; undefined: none was found. */
export type RecordDuration = (
  method: string,
  template: string | undefined,
  status: number,
  durationMs: number,
) => void;

/** Methods that are told apart in metrics; the rest is a sender's invention. */
const METHODS = new Set(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]);

/** Wires the recording. */
export function createRequestDurations(): RecordDuration {
  const durations = histogram(METRIC.httpServerDuration, {
    description: "Time from the head of a request to its answer.",
    unit: "s",
  });
  const known = new Map<string, Record<string, string>>();

  return function recordDuration(method, template, status, durationMs) {
    durations.record(durationMs / 1000, attributesOf(method, template, status));
  };

  function attributesOf(method: string, template: string | undefined, status: number) {
    const key = `${method} ${template} ${status}`;
    let attributes = known.get(key);
    if (attributes === undefined) {
      attributes = {
        [ATTR.httpMethod]: METHODS.has(method) ? method : "_OTHER",
        ...(template === undefined ? {} : { [ATTR.httpRoute]: template }),
        [ATTR.httpStatus]: String(status),
        [ATTR.urlScheme]: "http",
      };
      if (METHODS.has(method)) known.set(key, attributes);
    }
    return attributes;
  }
}
