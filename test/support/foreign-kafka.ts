/** kafkajs' public client as the foreign one: what other programs write and read. The only file of the tests that knows it. */
import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import kafkajs, { type Admin, type Consumer, type KafkaConfig, type Producer } from "kafkajs";
import { compressFrameSync, decompressFrameSync } from "lz4-napi";
import { compressSync, uncompressSync } from "snappy";
import { onTestFinished } from "vitest";

const { CompressionCodecs, CompressionTypes, Kafka, logLevel } = kafkajs;

/** The codecs by the names that topics use for them. */
export const CODECS = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
} as const;

type Encoder = { buffer: Buffer };
const codec =
  (compress: (bytes: Buffer) => Buffer, decompress: (bytes: Buffer) => Buffer) => () => ({
    compress: async ({ buffer }: Encoder) => compress(buffer),
    decompress: async (bytes: Buffer) => decompress(bytes),
  });
CompressionCodecs[CompressionTypes.Snappy] = codec(compressSync, (bytes) =>
  Buffer.from(uncompressSync(bytes)),
);
CompressionCodecs[CompressionTypes.LZ4] = codec(compressFrameSync, decompressFrameSync);
CompressionCodecs[CompressionTypes.ZSTD] = codec(zstdCompressSync, zstdDecompressSync);

/** A record that the foreign client read; headers of one name are a list. */
export type ForeignRecord = {
  readonly key: string | undefined;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, string>>;
  readonly partition: number;
};

/** The foreign client, closed with the test. */
export async function openForeignKafka(config: Pick<KafkaConfig, "brokers" | "ssl" | "sasl">) {
  const kafka = new Kafka({ ...config, clientId: "foreign", logLevel: logLevel.NOTHING });
  return { openAdmin, openProducer, read };

  async function openAdmin(): Promise<Admin> {
    return connected(kafka.admin());
  }

  async function openProducer(): Promise<Producer> {
    return connected(kafka.producer({ idempotent: true }));
  }

  /** Reads a topic from its first record on in a group; the list grows until the test ends. */
  async function read(topic: string, groupId: string): Promise<ForeignRecord[]> {
    const consumer: Consumer = await connected(kafka.consumer({ groupId }));
    const records: ForeignRecord[] = [];
    await consumer.subscribe({ topics: [topic], fromBeginning: true });
    await consumer.run({
      eachMessage: async ({ message: { key, value, headers = {} }, partition }) => {
        const texts = Object.entries(headers).map(([name, own]) => [name, String(own)] as const);
        records.push({
          key: key?.toString(),
          value,
          headers: Object.fromEntries(texts),
          partition,
        });
      },
    });
    return records;
  }
}

async function connected<Client extends { connect(): Promise<void>; disconnect(): Promise<void> }>(
  client: Client,
): Promise<Client> {
  onTestFinished(() => client.disconnect());
  await client.connect();
  return client;
}
