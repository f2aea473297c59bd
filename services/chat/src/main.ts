/** The chat service: opens its parts, joins them, waits for the stop signal, closes. */

import { serveRpc } from "@headgate/kit/grpc";
import { openHealth } from "@headgate/kit/health";
import { openKafka } from "@headgate/kit/kafka";
import { runService, stopSignal } from "@headgate/kit/lifecycle";
import { openPostgres } from "@headgate/kit/postgres";
import { openTelemetry } from "@headgate/kit/telemetry";
import { topics } from "@headgate/proto/topics";
import { readConfig } from "./config.ts";
import { createChatConsumer } from "./consumer.ts";
import { createChatRpc } from "./grpc.ts";
import { createMetrics } from "./metrics.ts";
import { createChatService } from "./service.ts";
import { createChatStore } from "./store.ts";

await runService("chat", async ({ log, env }) => {
  const config = readConfig(env);
  const host = config.HEADGATE_HOST;
  await using scope = new AsyncDisposableStack();
  scope.use(await openTelemetry({ service: "chat", env, log }));
  const db = scope.use(await openPostgres({ url: config.DATABASE_URL, log }));
  const kafka = scope.use(await openKafka({ ...config.kafka, clientId: "chat", log }));
  const chat = createChatService({ store: createChatStore(db) });
  const announce = kafka.publisher(topics.chatPosted);
  const consumer = scope.use(
    await kafka.consume(
      topics.chatRequested,
      "chat",
      createChatConsumer({ chat, announce, metrics: createMetrics() }),
    ),
  );
  const ready = () => db.ready && kafka.ready && consumer.ready;
  const rpc = {
    host,
    port: config.HEADGATE_GRPC_PORT,
    services: [createChatRpc(chat)],
    access: config.access,
    log,
    ready,
  };
  scope.use(await serveRpc(rpc));
  const health = scope.use(
    await openHealth({
      host: config.HEADGATE_OPS_HOST ?? host,
      port: config.HEADGATE_OPS_PORT,
      checks: {
        database: () => db.ready,
        kafka: () => kafka.ready,
        consumer: () => consumer.ready,
      },
      log,
    }),
  );
  health.started();
  await stopSignal();
  health.stopping();
});
