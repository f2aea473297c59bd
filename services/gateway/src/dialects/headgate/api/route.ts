/** How a route is written: once, with its contract beside it; validation and OpenAPI are made from the same words. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Static, TObject, TSchema } from "typebox";
import type { Caller } from "./caller.ts";

/** What a response holds. No schema: no body. */
export type ResponseSpec = {
  readonly description: string;
  readonly schema?: TSchema;
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** What was made, by the noun that parameters of paths have: its `id` leads on to their operations. */
  readonly made?: string;
};

/** What goes back; an absent body is none. */
export type ApiReply = {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: object;
};

/** A request that passed the contract. */
export type ApiRequest<Query, Body> = {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  /** UUIDs by name. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: Query;
  readonly body: Body;
  /** The body as it was sent; empty without one. */
  readonly bodyBytes: Buffer;
  /** Who asks; of public routes nobody, whose id is empty. */
  readonly caller: Caller;
  /** Who asks, as the registry's rpcs take it. */
  readonly actor: { readonly userId: string; readonly traceId: string };
  readonly traceId: string;
  /** The id for what a POST makes, from its Idempotency-Key; empty without one. */
  readonly newId: string;
  /** The same request with the same key was answered before. */
  readonly isReplay: boolean;
};

/** A route and its contract. `Query` and `Body` are what the schemas say. */
export type Route<Query extends TObject = TObject, Body extends TSchema = TSchema> = {
  readonly method: "get" | "post" | "patch" | "put" | "delete";
  /** With the names of parameters in braces; each is a UUID. */
  readonly path: string;
  readonly operationId: string;
  readonly summary: string;
  /** Markdown, for what the summary cannot hold. */
  readonly description?: string;
  readonly tag: string;
  /** True: no token is asked for. */
  readonly isPublic?: boolean;
  /** Parameters of the path and the noun each names: what is no UUID is a missing one of these. */
  readonly params?: Readonly<Record<string, string>>;
  readonly query?: Query;
  /** Optional request headers besides those that the contract itself brings; they are described, not checked. */
  readonly headers?: Readonly<Record<string, TSchema>>;
  readonly body?: Body;
  /** Bytes of a body; 64 KiB unless set. */
  readonly bodyBytesMax?: number;
  readonly responses: Readonly<Record<number, ResponseSpec>>;
  /** Statuses of problems besides those that the contract itself brings (401, 404 of a parameter, 400 … of a body). */
  readonly problems?: readonly number[];
  /** Undefined: the handler writes the response itself. */
  readonly handler: (
    request: ApiRequest<Static<Query>, Static<Body>>,
  ) => Promise<ApiReply | undefined>;
};

/** A route of whatever query and body: the validator has checked both when the handler is called. */
export type AnyRoute = Omit<Route, "handler"> & {
  // A handler's own types are narrower; what it is given was validated by the very schemas those come from.
  // biome-ignore lint/suspicious/noExplicitAny: see above
  readonly handler: (request: ApiRequest<any, any>) => Promise<ApiReply | undefined>;
};

/** Declares a route; types its handler by its schemas. */
export function route<Query extends TObject, Body extends TSchema>(
  declared: Route<Query, Body>,
): AnyRoute {
  return declared;
}
