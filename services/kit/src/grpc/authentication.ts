/** Identifies the caller of each rpc by its headers, before its message is read; refuses calls that may not be made. */
import { type Metadata, ServerInterceptingCall, type ServerInterceptor } from "@grpc/grpc-js";
import { AppError } from "../errors.ts";
import { type Implementation, methodName } from "./definition.ts";
import { IDENTITY_HEADER, type Identity, type Verifier } from "./statement.ts";
import { toStatus } from "./status.ts";

/** What a server needs to know callers. */
export type Authentication = {
  readonly interceptor: ServerInterceptor;
  /** The identity of a call that was let in; undefined for one that needs none. */
  identityOf(metadata: Metadata): Identity | undefined;
};

/**
 * Authentication of the given services. Others on the same server, health and reflection, are open to every caller.
 * @param options.onRefused gets each refusal: unauthenticated, or permission_denied `identity_not_allowed`
 */
export function createAuthentication(options: {
  verifier: Verifier;
  services: readonly Implementation[];
  onRefused: (method: string, error: AppError) => void;
}): Authentication {
  const { verifier, services, onRefused } = options;
  const identities = new WeakMap<Metadata, Identity>();
  const served = new Map<string, { name: string; mayCall: Implementation["mayCall"] }>(
    services.flatMap((implementation) =>
      implementation.service.methods.map((method) => {
        const name = methodName(implementation.service, method);
        return [`/${name}`, { name, mayCall: implementation.mayCall }] as const;
      }),
    ),
  );

  return {
    identityOf: (metadata) => identities.get(metadata),
    interceptor(descriptor, call) {
      const method = served.get(descriptor.path);
      if (!method) return new ServerInterceptingCall(call);
      const { name, mayCall } = method;
      return new ServerInterceptingCall(call, { start: (next) => next({ onReceiveMetadata }) });

      function onReceiveMetadata(metadata: Metadata, pass: (metadata: Metadata) => void): void {
        try {
          const identity = verifier(readStatement(metadata));
          // Most are known by their text. Those go on at once, without the cost of a promise.
          if (identity instanceof Promise) identity.then(admit).catch(refuse);
          else admit(identity);
        } catch (thrown) {
          refuse(thrown);
        }

        function admit(identity: Identity): void {
          if (mayCall && !mayCall(identity)) throw notAllowed();
          identities.set(metadata, identity);
          pass(metadata);
        }
      }

      function refuse(thrown: unknown): void {
        const error = AppError.from(thrown);
        onRefused(name, error);
        call.sendStatus(toStatus(error));
      }
    },
  };
}

/** The one statement of a call; undefined when there is none, or more than one. */
function readStatement(metadata: Metadata): string | undefined {
  const [statement, another] = metadata.get(IDENTITY_HEADER);
  return typeof statement === "string" && another === undefined ? statement : undefined;
}

function notAllowed(): AppError {
  const message = "The caller may not call this.";
  return new AppError("permission_denied", "identity_not_allowed", message);
}
