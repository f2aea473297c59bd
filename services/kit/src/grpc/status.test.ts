import { Metadata, type ServiceError } from "@grpc/grpc-js";
import { expect, test } from "vitest";
import { AppError, type Code, STATUS } from "../errors.ts";
import { fromStatus, statusName, toStatus } from "./status.ts";

/** What a client sees of a status. */
function receive(status: Partial<ReturnType<typeof toStatus>>): ServiceError {
  const { code = 2, details = "", metadata = new Metadata() } = status;
  return Object.assign(new Error(details), { code, details, metadata });
}

test("every code of the table comes back as itself", () => {
  for (const code of Object.keys(STATUS) as Code[]) {
    const error = fromStatus(receive(toStatus(new AppError(code, "why", "What."))), "peer");
    expect([error.code, error.reason, error.message]).toEqual([code, "why", "What."]);
  }
});

test("the cause stays behind", () => {
  const error = new AppError("internal", "why", "What.", { cause: new Error("secret-detail") });
  expect(JSON.stringify(toStatus(error).metadata?.toJSON())).not.toContain("secret-detail");
});

test.each([
  [14, "", "unavailable", "peer_unavailable"],
  [1, "Call cancelled", "unavailable", "peer_unavailable"],
  [13, "Received RST_STREAM with code 2", "unavailable", "peer_unavailable"],
  [4, "", "deadline_exceeded", "peer_timeout"],
  [12, "", "unimplemented", "peer_unimplemented"],
  [2, "", "internal", "peer_internal"],
])("a bare status %i %j is %s %s", (code, details, expected, reason) => {
  const error = fromStatus(receive({ code, details }), "peer");
  expect([error.code, error.reason]).toEqual([expected, reason]);
});

test("somebody else's trailer is passed over", () => {
  for (const trailer of ["not json", "[]", '{"reason":1,"message":"x"}', '{"reason":"x"}']) {
    const metadata = new Metadata();
    metadata.set("headgate-error-bin", Buffer.from(trailer));
    expect(fromStatus(receive({ code: 5, metadata }), "peer").reason).toBe("peer_not_found");
  }
});

test("statuses are named as the conventions say", () => {
  expect([statusName(0), statusName(4), statusName(99)]).toEqual([
    "OK",
    "DEADLINE_EXCEEDED",
    "UNKNOWN",
  ]);
});
