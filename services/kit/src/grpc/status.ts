/** AppError to gRPC status and back, by the one status table. */
import { Metadata, type ServiceError, type StatusObject, status } from "@grpc/grpc-js";
import { AppError, type Code, type Fault, STATUS } from "../errors.ts";

/**
 * Trailer that carries what a status cannot: JSON `{reason, message, faults?, retryAfterMs?, http?}`, UTF-8. Peers that
 * do not know it still get code and message.
 */
const ERROR_TRAILER = "headgate-error-bin";
/** Bytes of that JSON at most: many peers refuse more than 8 KiB of metadata in all. */
const TRAILER_BYTES_MAX = 4096;
/** Characters of a message at most. */
const MESSAGE_LENGTH_MAX = 500;

const CODE_OF_STATUS = new Map<number, Code>(
  (Object.keys(STATUS) as Code[]).map((code) => [STATUS[code].grpc, code]),
);

/** What the trailer holds. */
type Carried = {
  reason: string;
  message: string;
  faults?: readonly Fault[];
  retryAfterMs?: number;
  http?: number;
};

/** The status to end a call with. The cause stays here. Faults that find no room are left out, the last first. */
export function toStatus(error: AppError): StatusObject {
  const metadata = new Metadata();
  metadata.set(ERROR_TRAILER, encode(error));
  return {
    code: STATUS[error.code].grpc,
    details: shorten(error.message),
    metadata,
  };
}

/**
 * The AppError that a failed call is. A status without our trailer, made by grpc-js or by a proxy on the way, says
 * `unavailable` (`peer_unavailable`; also for a connection that ended under the call), `deadline_exceeded`
 * (`peer_timeout`) or its own code; its text becomes the cause only.
 */
export function fromStatus(error: ServiceError, peer: string): AppError {
  const code = CODE_OF_STATUS.get(error.code) ?? "internal";
  const carried = decode(error.metadata);
  if (carried) {
    return new AppError(code, carried.reason, carried.message, {
      faults: carried.faults,
      retryAfterMs: carried.retryAfterMs,
      http: carried.http,
      cause: error,
    });
  }
  if (code === "unavailable" || isCutOff(error)) {
    return new AppError("unavailable", "peer_unavailable", `${peer} is not available.`, {
      cause: error,
    });
  }
  if (code === "deadline_exceeded") {
    return new AppError(code, "peer_timeout", `${peer} did not answer in time.`, { cause: error });
  }
  return new AppError(code, `peer_${code}`, `${peer} could not answer.`, { cause: error });
}

/**
 * Whether a status stands for a connection that ended under the call. We never cancel a call, so CANCELLED is the other
 * end's; and grpc-js calls some resets INTERNAL.
 */
function isCutOff({ code, details }: ServiceError): boolean {
  return (
    code === status.CANCELLED ||
    ((code === status.INTERNAL || code === status.UNKNOWN) && /RST_STREAM/.test(details))
  );
}

/** The name of a status for spans and metrics, `DEADLINE_EXCEEDED`. */
export function statusName(code: number): string {
  return status[code] ?? "UNKNOWN";
}

function encode(error: AppError): Buffer {
  const carried: Carried = { reason: error.reason, message: shorten(error.message) };
  if (error.retryAfterMs !== undefined) carried.retryAfterMs = error.retryAfterMs;
  if (error.httpStatus !== STATUS[error.code].http) carried.http = error.httpStatus;
  const faults: Fault[] = [];
  let room = TRAILER_BYTES_MAX - Buffer.byteLength(JSON.stringify(carried)) - '"faults":[],'.length;
  for (const { pointer, detail } of error.faults) {
    const fault = { pointer, detail };
    room -= Buffer.byteLength(JSON.stringify(fault)) + 1;
    if (room < 0) break;
    faults.push(fault);
  }
  if (faults.length > 0) carried.faults = faults;
  return Buffer.from(JSON.stringify(carried));
}

function decode(metadata: Metadata | undefined): Carried | undefined {
  const raw = metadata?.get(ERROR_TRAILER)[0];
  if (!Buffer.isBuffer(raw) || raw.length > 2 * TRAILER_BYTES_MAX) return undefined;
  try {
    const value: unknown = JSON.parse(raw.toString());
    return isCarried(value) ? value : undefined;
  } catch {
    return undefined; // somebody else's trailer: the status alone must do
  }
}

function isCarried(value: unknown): value is Carried {
  if (typeof value !== "object" || value === null) return false;
  const { reason, message, faults, retryAfterMs, http } = value as Record<string, unknown>;
  return (
    typeof reason === "string" &&
    typeof message === "string" &&
    (faults === undefined || (Array.isArray(faults) && faults.every(isFault))) &&
    (retryAfterMs === undefined || typeof retryAfterMs === "number") &&
    (http === undefined || typeof http === "number")
  );
}

function isFault(value: unknown): value is Fault {
  if (typeof value !== "object" || value === null) return false;
  const { pointer, detail } = value as Record<string, unknown>;
  return typeof pointer === "string" && typeof detail === "string";
}

function shorten(message: string): string {
  return message.length <= MESSAGE_LENGTH_MAX
    ? message
    : `${message.slice(0, MESSAGE_LENGTH_MAX - 1).toWellFormed()}…`;
}
