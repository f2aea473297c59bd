/** Opens, wires, waits, closes. */
import { serveRpc } from "@headgate/kit/grpc";
import { openHealth } from "@headgate/kit/health";
import { createId } from "@headgate/kit/ids";
import { openKafka } from "@headgate/kit/kafka";
import { runService, stopSignal } from "@headgate/kit/lifecycle";
import { addToOutbox, lockOutbox, openOutboxRelay } from "@headgate/kit/outbox";
import { openPostgres } from "@headgate/kit/postgres";
import { activeSpan, formatTraceparent, openTelemetry } from "@headgate/kit/telemetry";
import { readConfig } from "./config.ts";
import { createSealer } from "./credential.ts";
import { createRegistryRpc } from "./grpc.ts";
import { createHeaders } from "./headers.ts";
import { createPasswords } from "./password.ts";
import { createRegistryService } from "./service.ts";
import { SERVED_ACTIONS } from "./service-hook-checks.ts";
import { createStore, SCHEMA } from "./store.ts";
import { createThrottle } from "./throttle.ts";
import { openExpiry, openHealing, prepareFirstStart } from "./upkeep.ts";

/** ms a round of the outbox waits for Kafka. Short: it comes again anyway, and stopping waits for it. */
const PUBLISH_TIMEOUT_MS = 3_000;

await runService("registry", async ({ log, env }) => {
  const config = readConfig(env);
  await using scope = new AsyncDisposableStack();
  scope.use(await openTelemetry({ service: "registry", env, log }));
  const db = scope.use(await openPostgres({ url: config.databaseUrl, log }));
  const kafka = scope.use(
    await openKafka({
      ...config.kafka,
      clientId: "registry",
      log,
      publishTimeoutMs: PUBLISH_TIMEOUT_MS,
    }),
  );
  const health = scope.use(
    await openHealth({
      host: config.opsHost,
      port: config.opsPort,
      // Not Kafka: the registry answers without it, and announces when it is back.
      checks: { database: () => db.ready },
      log,
    }),
  );
  const relay = scope.use(
    await openOutboxRelay({
      db,
      schema: SCHEMA,
      publish: kafka.publishRaw,
      ready: () => kafka.ready,
      log,
    }),
  );
  const now = () => new Date();
  const registry = createRegistryService({
    store: createStore({
      db,
      outbox: {
        add: (tx, records) => addToOutbox(tx, SCHEMA, records),
        lock: (tx) => lockOutbox(tx, SCHEMA),
      },
      headers: createHeaders({ createId, now, activeSpan, formatTraceparent }),
      onAnnounced: relay.nudge,
    }),
    now,
    createId,
    passwords: createPasswords(),
    throttle: createThrottle(),
    sealer: createSealer(config.secretKey),
    servedActions: SERVED_ACTIONS,
  });

  await prepareFirstStart({ registry, firstAdmin: config.firstAdmin, log });
  scope.use(await openExpiry({ registry, log }));
  scope.use(await openHealing({ registry, follow: kafka.follow, log }));
  scope.use(
    await serveRpc({
      host: config.host,
      port: config.grpcPort,
      services: createRegistryRpc(registry),
      access: config.access,
      log,
      ready: () => db.ready,
    }),
  );
  health.started();
  await stopSignal();
  health.stopping();
});
