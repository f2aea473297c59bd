/**
 * The door to gRPC: serves and calls protobuf-es services. Unary calls only. Every call has a deadline, every message a
 * bound, and an AppError thrown on one side is thrown again on the other.
 */
export type { ClientAccess, ServerAccess, TlsIdentity } from "./grpc/access.ts";
export { type Client, openClient } from "./grpc/client.ts";
export { type Call, type Handlers, type Implementation, implement } from "./grpc/definition.ts";
export { type RpcServer, serveRpc } from "./grpc/server.ts";
export {
  readClientAccess,
  readServerAccess,
  rpcClientFields,
  rpcServerFields,
} from "./grpc/settings.ts";
export { createSigner, createVerifier, type Identity } from "./grpc/statement.ts";
