/** protobuf-es service descriptors as grpc-js wants them, and the types of handlers. */
import {
  create,
  type DescMessage,
  type DescMethod,
  type DescService,
  fromBinary,
  isMessage,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import type { MethodDefinition, ServiceDefinition } from "@grpc/grpc-js";
import type { Span } from "../telemetry.ts";
import type { Identity } from "./statement.ts";

/** The largest message that is sent or taken, in bytes, either way. */
export const MESSAGE_BYTES_MAX = 16 * 1024 * 1024;

/** Header of every answer: the version of the service that gave it. */
export const VERSION_HEADER = "headgate-version";

/** What a handler knows about its call. */
export type Call = {
  /** Ms left when the call arrived; past them nobody waits for the answer. */
  readonly deadlineMs: number;
  /** In whose name it is made; undefined on a server that verifies no statements. */
  readonly identity: Identity | undefined;
  /** Aborts when the caller hung up or the deadline passed. */
  readonly signal: AbortSignal;
  /** The call's own span, to add attributes to; undefined when nothing is traced. */
  readonly span: Span | undefined;
};

/** One function per rpc of a service. What it throws reaches the caller: an AppError as itself, anything else as `internal`. */
export type Handlers<S extends DescService> = {
  readonly [M in keyof S["method"]]: (
    request: MessageShape<S["method"][M]["input"]>,
    call: Call,
  ) => Promise<MessageInitShape<S["method"][M]["output"]>>;
};

/** A handler whose message types are forgotten: what the server calls. */
export type AnyHandler = (request: never, call: Call) => Promise<unknown>;

/** A service with its handlers, ready for `serveRpc`. */
export type Implementation = {
  readonly service: DescService;
  readonly handlers: Readonly<Record<string, AnyHandler>>;
  /** Which identities may call it, on a server that verifies statements; absent: every one that was verified. */
  readonly mayCall?: ((identity: Identity) => boolean) | undefined;
};

/**
 * Ties handlers to a service descriptor.
 * @param options.mayCall which identities may call; others get permission_denied `identity_not_allowed`
 */
export function implement<S extends DescService>(
  service: S,
  handlers: Handlers<S>,
  options: Pick<Implementation, "mayCall"> = {},
): Implementation {
  // The keys are checked by the type of `handlers`; the server looks them up by the descriptor's own names.
  return { service, handlers: handlers as Readonly<Record<string, AnyHandler>>, ...options };
}

/**
 * The grpc-js definition of a service.
 * @throws Error when it has a streaming rpc, which this kit does not serve
 */
export function toServiceDefinition(service: DescService): ServiceDefinition {
  return Object.fromEntries(
    service.methods.map((method) => [method.localName, toMethodDefinition(service, method)]),
  );
}

/** The full name of an rpc, `headgate.chat.v1.ChatService/ListMessages`: span name and metric attribute. */
export function methodName(service: DescService, method: DescMethod): string {
  return `${service.typeName}/${method.name}`;
}

function toMethodDefinition(
  service: DescService,
  method: DescMethod,
): MethodDefinition<unknown, unknown> {
  if (method.methodKind !== "unary") throw new Error(`${methodName(service, method)} is not unary`);
  return {
    path: `/${methodName(service, method)}`,
    originalName: method.localName,
    requestStream: false,
    responseStream: false,
    requestSerialize: serializer(method.input),
    requestDeserialize: (bytes) => fromBinary(method.input, bytes),
    responseSerialize: serializer(method.output),
    responseDeserialize: (bytes) => fromBinary(method.output, bytes),
  };
}

function serializer(schema: DescMessage): (value: unknown) => Buffer {
  return function serialize(value) {
    // What is no message yet is an init shape: the types of Handlers and Client saw to that.
    const message = isMessage(value, schema)
      ? value
      : create(schema, value as MessageInitShape<DescMessage>);
    const bytes = toBinary(schema, message);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  };
}
