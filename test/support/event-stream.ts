/** Reads a live stream of the native API as a client would. */
import { eventually } from "./eventually.ts";

/** One event; `data` is what its JSON holds. */
// biome-ignore lint/suspicious/noExplicitAny: the forms of the API; what a test expects of them, it says
export type StreamEvent = { event: string; id: string | undefined; data: any };

/** An open stream. */
export type EventStream = {
  readonly events: readonly StreamEvent[];
  /** For Last-Event-ID: of the last event or heartbeat that has one. */
  readonly lastId: string | undefined;
  /** Resolves when there are no more events. */
  readonly ended: Promise<void>;
  stop(): Promise<void>;
};

/**
 * Opens the stream of a server and waits for its `ready`.
 * @throws an Error with status and body when it is refused
 */
export async function openEventStream(
  url: string,
  token: string,
  { query = "", lastId }: { query?: string; lastId?: string | undefined } = {},
): Promise<EventStream> {
  const abort = new AbortController();
  const response = await fetch(`${url}/api/headgate/v1/stream${query}`, {
    headers: {
      authorization: `Bearer ${token}`,
      ...(lastId !== undefined && { "last-event-id": lastId }),
    },
    signal: abort.signal,
  });
  if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`);
  const events: StreamEvent[] = [];
  let last = lastId;
  const ended = read().catch(() => undefined);
  await eventually(() => events.some(({ event }) => event === "ready"), { timeoutMs: 120_000 });
  return {
    events,
    get lastId() {
      return last;
    },
    ended,
    async stop() {
      abort.abort();
      await ended;
    },
  };

  async function read(): Promise<void> {
    let text = "";
    for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      const blocks = (text + chunk).split("\n\n");
      text = blocks.pop() ?? "";
      for (const block of blocks) take(block);
    }
  }

  function take(block: string): void {
    const lines = block.split("\n");
    const lineOf = (name: string) =>
      lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
    const [event, id] = [lineOf("event"), lineOf("id")];
    last = id ?? last;
    if (event) events.push({ event, id, data: JSON.parse(lineOf("data") ?? "") });
  }
}
