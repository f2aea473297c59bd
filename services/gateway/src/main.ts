/** The gateway process: opens, wires, waits, closes. */
import { openClient } from "@headgate/kit/grpc";
import { openHealth } from "@headgate/kit/health";
import { createId } from "@headgate/kit/ids";
import { openKafka } from "@headgate/kit/kafka";
import { runService, stopSignal } from "@headgate/kit/lifecycle";
import { OUR_METRIC } from "@headgate/kit/semconv";
import { gauge, openTelemetry } from "@headgate/kit/telemetry";
import { VERSION } from "@headgate/kit/version";
import { ChatService } from "@headgate/proto/chat/v1/chat";
import { RateLimiterService } from "@headgate/proto/ratelimiter/v1/rate_limiter";
import { ManagementService } from "@headgate/proto/registry/v1/management";
import { RegistryService } from "@headgate/proto/registry/v1/registry";
import { topics } from "@headgate/proto/topics";
import { createAdmissions } from "./admissions.ts";
import { takeAnswers } from "./answered-changes.ts";
import { createBodyRoom } from "./body-room.ts";
import {
  createGetMessages,
  createRateLimiterClient,
  createRegistryClient,
  userOf,
} from "./clients.ts";
import { readConfig } from "./config.ts";
import { createApi } from "./dialects/headgate/api/index.ts";
import { createDialects } from "./dialects/index.ts";
import { createDirectory } from "./directory.ts";
import { createHookCeiling } from "./hook-ceiling.ts";
import { openHookUses } from "./hook-uses.ts";
import { createHot } from "./hot.ts";
import { openFrontDoor } from "./http.ts";
import { createAuthenticate } from "./ingest/authenticate.ts";
import { createHookLookup } from "./ingest/hook-lookup.ts";
import { createFeed } from "./live/feed.ts";
import { postedTopic } from "./live/posted.ts";
import { createLoad } from "./load.ts";
import { createNumbers } from "./numbers.ts";
import { createGate } from "./service.ts";
import { readSource } from "./source.ts";
import { createStatus, PROBE_MS } from "./status.ts";

/** ms until an event that the log does not acknowledge is refused: enough for a broker that hangs and the next leader of its partitions. */
const PUBLISH_TIMEOUT_MS = 10_000;

await runService("gateway", async ({ log, env }) => {
  const config = readConfig(env);
  const { host, trustedProxies, logsAccepted } = config;
  await using scope = new AsyncDisposableStack();
  scope.use(await openTelemetry({ service: "gateway", env, log }));
  const publishTimeoutMs = PUBLISH_TIMEOUT_MS;
  const kafka = scope.use(
    await openKafka({ ...config.kafka, clientId: "gateway", log, publishTimeoutMs }),
  );
  const versions = new Map<string, string>();
  const peer = (name: string, address: string) => ({
    address,
    audience: name,
    access: config.rpcAccess,
    onVersion: (version: string) => versions.set(name, version),
  });
  const registryPeer = peer("registry", config.registryAddress);
  const registryRpc = scope.use(openClient(RegistryService, registryPeer));
  const management = scope.use(openClient(ManagementService, { ...registryPeer, userOf }));
  const chat = scope.use(openClient(ChatService, peer("chat", config.chatAddress)));
  const limiterRpc = scope.use(
    openClient(RateLimiterService, peer("rate-limiter", config.rateLimiterAddress)),
  );
  const registry = createRegistryClient(registryRpc);
  const limiter = createRateLimiterClient(limiterRpc);
  const getMessages = createGetMessages(chat);

  const directory = createDirectory();
  const changes = scope.use(
    await kafka.follow(
      topics.registryChanged,
      { from: "start", onRestart: directory.refresh },
      directory.apply,
    ),
  );
  let isCaughtUp = false;
  void changes.caughtUp.then(() => {
    isCaughtUp = true;
  });
  const feed = scope.use(
    createFeed({
      follow: (from, take) => kafka.follow(postedTopic, { from }, take),
      getMessages,
      ...config.live,
    }),
  );

  const load = createLoad();
  const ceiling = createHookCeiling({ perMinute: config.hookCeilingPerMinute });
  const bodies = createBodyRoom(config.bodies);
  gauge(OUR_METRIC.gatewayWaiting, () => load.waiting, {
    description: "Requests that wait for the log.",
  });
  const hookUses = scope.use(openHookUses({ tell: registry.touchHooks, log }));
  const admissions = createAdmissions({ limiter, log });
  const lookup = createHookLookup({ directory, resolveHook: registry.resolveHook });
  const gate = createGate({
    directory,
    authenticate: createAuthenticate({ lookup, rateLimit: admissions }),
    lookUpChannel: registry.lookUpChannel,
    admissions,
    load,
    ceiling,
    numbers: createNumbers({ reserve: registry.reserveNumbers }),
    readable: feed,
    getMessages,
    touchHook: hookUses.touch,
    publishChat: kafka.publisher(topics.chatRequested),
    publicUrl: config.publicUrl,
  });
  const dialects = createDialects({ mattermost: config.mattermost });
  const hot = createHot({
    dialects,
    gate,
    load,
    bodies,
    ceiling,
    requestsPerSourceMax: config.requestsPerSourceMax,
    hasLimits: directory.hasLimits,
    trustedProxies,
    log,
    logsAccepted,
  });

  const closing = new AbortController();
  const nobody = createId();
  const probe = { deadlineMs: PROBE_MS };
  const api = createApi(gate, {
    registry: registryRpc,
    management: takeAnswers(management, directory),
    chat,
    feed,
    streams: config.streams,
    onRegistryChange: directory.onChange,
    status: createStatus({
      kafka,
      version: VERSION,
      probes: [
        {
          name: "registry",
          version: () => versions.get("registry"),
          ask: () => registryRpc.lookUp({ thing: { case: "userId", value: nobody } }, probe),
        },
        {
          name: "chat",
          version: () => versions.get("chat"),
          ask: () => chat.getMessages({ ids: [nobody] }, probe),
        },
        {
          name: "rate-limiter",
          version: () => versions.get("rate-limiter"),
          ask: () => limiterRpc.peek({ budgets: [] }, probe),
        },
      ],
    }),
    hookUrl: (name, credential) => {
      const dialect = dialects.find((candidate) => candidate.name === name);
      return config.publicUrl + (dialect?.hookPath(credential) ?? "");
    },
    sourceOf: (req) => readSource(req, trustedProxies),
    bodies,
    closing: closing.signal,
    log,
  });

  const health = scope.use(
    await openHealth({
      host: config.opsHost,
      port: config.opsPort,
      checks: { log: () => kafka.ready, directory: () => isCaughtUp, feed: () => feed.ready },
      log,
    }),
  );
  const door = scope.use(
    await openFrontDoor({
      host,
      port: config.port,
      hot,
      api,
      dialects,
      gate,
      connections: config.connections,
      trustedProxies,
      log,
    }),
  );
  health.started();
  log.info("service.started", { port: door.port, ops_port: health.port });
  await stopSignal();
  health.stopping();
  closing.abort();
});
