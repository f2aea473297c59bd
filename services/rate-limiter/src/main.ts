/** The rate-limiter: opens its parts, joins them, waits for the stop signal, closes. */
import { serveRpc } from "@headgate/kit/grpc";
import { openHealth } from "@headgate/kit/health";
import { runService, stopSignal } from "@headgate/kit/lifecycle";
import { openRedis } from "@headgate/kit/redis";
import { openTelemetry } from "@headgate/kit/telemetry";
import { readConfig } from "./config.ts";
import { createRateLimiterRpc } from "./grpc.ts";
import { createMemoryStore } from "./memory-store.ts";
import { createMetrics } from "./metrics.ts";
import { createRateLimiter } from "./service.ts";
import { createRedisStore } from "./store.ts";

await runService("rate-limiter", async ({ log, env }) => {
  const config = readConfig(env);
  const host = config.HEADGATE_HOST;
  await using scope = new AsyncDisposableStack();
  scope.use(await openTelemetry({ service: "rate-limiter", env, log }));
  const redis = scope.use(await openRedis({ url: config.REDIS_URL, log }));
  const keptBytes = {
    perScope: config.HEADGATE_KEPT_BYTES_PER_SCOPE,
    total: config.HEADGATE_KEPT_BYTES,
  };
  const limiter = createRateLimiter({
    store: createRedisStore({ redis, keptBytes }),
    fallback: createMemoryStore({ keptBytes }),
    ...createMetrics(log),
  });
  const services = [createRateLimiterRpc(limiter)];
  const { HEADGATE_GRPC_PORT: port, access } = config;
  scope.use(await serveRpc({ host, port, services, access, log }));
  const health = scope.use(
    await openHealth({
      host: config.HEADGATE_OPS_HOST ?? host,
      port: config.HEADGATE_OPS_PORT,
      checks: {}, // without Redis it judges too
      notes: { mode: limiter.mode },
      log,
    }),
  );
  health.started();
  await stopSignal();
  health.stopping();
});
