/**
 * The second floor: bare node:http, JSON.parse, the kit's Kafka publisher, and nothing else: no routing, no tokens,
 * no rules. What the gateway adds is measured against it. Prints its port.
 */
import { createServer } from "node:http";
import { create } from "@bufbuild/protobuf";
import { createId } from "@headgate/kit/ids";
import { openKafka } from "@headgate/kit/kafka";
import { createLog } from "@headgate/kit/log";
import { EventSchema } from "@headgate/proto/event/v1/event";
import { floorTopic } from "./topic.ts";

const log = createLog({ service: "floor", level: "error" });
const brokers = (process.env.KAFKA_BROKERS ?? "").split(",");
const kafka = await openKafka({ brokers, clientId: "floor", log });
const publish = kafka.publisher(floorTopic);

const server = createServer((req, res) => {
  const chunks: Buffer[] = [];
  req.on("data", (chunk: Buffer) => chunks.push(chunk));
  req.on("end", async () => {
    const { text } = JSON.parse(Buffer.concat(chunks).toString()) as { text: string };
    const event = create(EventSchema, {
      id: createId(),
      action: { case: "chatMessage", value: { channelId: "floor", content: { text } } },
    });
    await publish([event]);
    res.writeHead(202, { "content-type": "application/json", "content-length": 2 });
    res.end("{}");
  });
});
server.listen(0, "127.0.0.1", () => console.log((server.address() as { port: number }).port));
process.on("SIGTERM", () => process.exit(0));
