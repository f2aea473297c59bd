/** What every storage of chat must do; the memory store and Postgres pass the same suite. */
import { createId } from "@headgate/kit/ids";
import type { Message } from "@headgate/proto/chat/v1/chat";
import { AlertStatus, Severity } from "@headgate/proto/event/v1/event";
import { expect, test } from "vitest";
import type { ChatStore } from "../service.ts";
import { buildMessage } from "./builders.ts";

/** Registers the tests. `open` gives the store; tests share it and keep apart by channel. */
export function storeSuite(open: () => Promise<ChatStore> | ChatStore): void {
  const draft = (channelId: string, rootId = "") => buildMessage({ channelId, rootId });

  test("numbers the messages of a channel from 1 in the order given", async () => {
    const store = await open();
    const channelId = createId();
    const drafts = [draft(channelId), draft(channelId), draft(channelId)];
    const positions = await store.insertMessages(drafts);
    expect(drafts.map(({ id }) => positions.get(id))).toEqual([1n, 2n, 3n]);
    const [fourth] = [draft(channelId)];
    expect((await store.insertMessages([fourth])).get(fourth.id)).toBe(4n);
  });

  test("numbers each channel of a mixed batch by itself", async () => {
    const store = await open();
    const [one, other] = [createId(), createId()];
    const drafts = [draft(one), draft(other), draft(one), draft(other), draft(one)];
    const positions = await store.insertMessages(drafts);
    expect(drafts.map(({ id }) => positions.get(id))).toEqual([1n, 1n, 2n, 2n, 3n]);
  });

  test("leaves a taken id as it is and burns no position for it", async () => {
    const store = await open();
    const channelId = createId();
    const first = buildMessage({ channelId, content: { text: "first" } });
    await store.insertMessages([first]);
    const again = buildMessage({ id: first.id, channelId, content: { text: "changed" } });
    const next = draft(channelId);
    const positions = await store.insertMessages([again, next]);
    expect([...positions]).toEqual([[next.id, 2n]]);
    expect((await store.readMessages([first.id])).map((message) => message.content?.text)).toEqual([
      "first",
    ]);
  });

  test("an id is taken in every channel", async () => {
    const store = await open();
    const first = draft(createId());
    await store.insertMessages([first]);
    const elsewhere = buildMessage({ id: first.id, channelId: createId() });
    expect((await store.insertMessages([elsewhere])).size).toBe(0);
  });

  test("gives every member back as it was", async () => {
    const store = await open();
    const message = fullMessage();
    message.position = (await store.insertMessages([message])).get(message.id) ?? 0n;
    expect(await store.readMessages([message.id])).toEqual([message]);
  });

  test("pages walk a channel both ways without a gap or a double", async () => {
    const store = await open();
    const channelId = createId();
    const drafts = Array.from({ length: 23 }, () => draft(channelId));
    await store.insertMessages([...drafts, draft(createId())]);
    const forward: Message[] = [];
    for (let after = 0n; ; ) {
      const page = await store.listMessages({
        channelId,
        limit: 5,
        bound: { case: "after", value: after },
      });
      if (page.length === 0) break;
      forward.push(...page);
      after = page.at(-1)?.position ?? 0n;
    }
    expect(forward.map(({ id }) => id)).toEqual(drafts.map(({ id }) => id));
    const backward = await store.listMessages({ channelId, limit: 5 });
    for (let page = backward; page.length > 0; backward.push(...page)) {
      const before = page.at(-1)?.position ?? 0n;
      page = await store.listMessages({
        channelId,
        limit: 5,
        bound: { case: "before", value: before },
      });
    }
    expect(backward.map(({ id }) => id)).toEqual(drafts.map(({ id }) => id).reverse());
  });

  test("lists the replies of one root, oldest first, by page", async () => {
    const store = await open();
    const channelId = createId();
    const root = draft(channelId);
    const replies = [
      draft(channelId, root.id),
      draft(channelId, root.id),
      draft(channelId, root.id),
    ];
    await store.insertMessages([root, ...replies, draft(channelId)]);
    const page = await store.listReplies({ rootId: root.id, limit: 2, after: 0n });
    expect(page.map(({ id }) => id)).toEqual(replies.slice(0, 2).map(({ id }) => id));
    const rest = await store.listReplies({
      rootId: root.id,
      limit: 2,
      after: page[1]?.position ?? 0n,
    });
    expect(rest.map(({ id }) => id)).toEqual([replies[2]?.id]);
  });

  test("finds roots with their channel and their own root", async () => {
    const store = await open();
    const channelId = createId();
    const root = draft(channelId);
    const reply = draft(channelId, root.id);
    await store.insertMessages([root, reply]);
    const found = await store.findRoots([reply.id, createId()]);
    expect(found).toEqual([{ id: reply.id, channelId, rootId: root.id }]);
  });
}

function fullMessage(): Message {
  return buildMessage({
    channelId: createId(),
    number: 9_007_199_254_740_993n,
    kind: "slack_attachment",
    rootId: createId(),
    origin: {
      dialect: "mattermost",
      hookId: createId(),
      outgoingHookId: createId(),
      hop: 2,
      traceId: "4bf92f3577b34da6a3ce929d0e0e4736",
    },
    author: {
      type: 2,
      id: createId(),
      name: "Wächter 🛡",
      iconUrl: "https://example.com/i.png",
      iconEmoji: "shield",
    },
    content: {
      text: "Kitchen cooler 12 °C\r\nsee\t\"log\" \\ {a,NULL} '🔥'",
      title: "Cooler",
      severity: Severity.CRITICAL,
      link: "https://example.com/a",
      fields: [{ name: "host", value: "db-3", short: true }],
      attachments: [
        {
          color: "danger",
          text: "x",
          fields: [{ name: "a", value: "" }],
          tsJson: "1.5",
          actionsJson: "[]",
        },
      ],
      media: [{ url: "https://example.com/p.png", type: "image", sizeBytes: 5n, width: 3 }],
      propsJson: '{ "b": 1, "a": 12345678901234567890, "z": "\\u0000" }',
    },
    fold: { key: "disk", status: AlertStatus.FIRING, windowSeconds: 60 },
    priority: { level: "urgent", requestedAck: true },
  });
}
