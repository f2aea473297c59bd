import { create } from "@bufbuild/protobuf";
import { createId } from "@headgate/kit/ids";
import { countCodePoints } from "@headgate/kit/json";
import { AuthorType, type ChatMessage, ChatMessageSchema } from "@headgate/proto/event/v1/event";
import { describe, expect, test } from "vitest";
import {
  channels,
  errorOf,
  idOf,
  messageOf,
  openWorld,
  PERSON_ID,
  type World,
} from "./fake-gate.ts";
import { PROPS_MAX, splitText, TEXT_MAX } from "./split.ts";

type Opened = ReturnType<typeof openWorld>;

function messagesOf({ accepted }: Opened): ChatMessage[] {
  return accepted.map(({ action }) =>
    action.case === "chatMessage" ? action.value : create(ChatMessageSchema),
  );
}

/** Sends a payload that must be taken; the messages it became, the world, and the props of the first. */
async function post(payload: unknown, world: World = {}) {
  const opened = openWorld(world);
  const reply = await opened.sendJson(payload);
  expect([reply.status, reply.body]).toEqual([200, "ok"]);
  const messages = messagesOf(opened);
  const [first = create(ChatMessageSchema)] = messages;
  const content = first.content;
  const props: Record<string, unknown> = JSON.parse(content?.propsJson ?? "");
  const author = opened.accepted[0]?.author;
  return { opened, messages, first, content, attachment: content?.attachments[0], props, author };
}

async function refusalOf(payload: unknown, world: World = {}) {
  const opened = openWorld(world);
  const reply = await opened.sendJson(payload);
  expect(opened.accepted).toHaveLength(0);
  return [reply.status, errorOf(reply).id];
}

describe("attachments", () => {
  test("MM-76 Alertmanager's attachments are kept, without a text of the message", async () => {
    const actions = [{ type: "button", text: "Open", url: "https://x.example" }];
    const { first, content, attachment } = await post({
      attachments: [
        {
          title: "[FIRING:1] Disk",
          title_link: "http://am.example",
          text: "",
          fallback: "[FIRING:1] Disk",
          callback_id: "c",
          mrkdwn_in: ["text"],
          color: "danger",
          ts: 1700000000,
          actions,
        },
        null,
      ],
    });
    expect(first.kind).toBe("slack_attachment");
    expect(content?.text).toBe("");
    expect(content?.attachments).toHaveLength(1);
    expect(attachment).toMatchObject({
      title: "[FIRING:1] Disk",
      color: "danger",
      tsJson: "1700000000",
    });
    expect(JSON.parse(attachment?.actionsJson ?? "")).toEqual(actions);
  });

  test("MM-77 field values become texts and short is read from its name", async () => {
    const { attachment } = await post({
      attachments: [
        {
          fields: [
            { title: "n", value: 5, short: "true" },
            { title: "b", value: false, short: "False" },
            { title: "o", value: { a: [1] } },
            null,
            { title: "none", value: null },
          ],
        },
      ],
    });
    expect(attachment?.fields.map(({ name, value, short }) => [name, value, short])).toEqual([
      ["n", "5", true],
      ["b", "false", false],
      ["o", '{"a":[1]}', false],
      ["none", "", false],
    ]);
  });

  test.each(["maybe", null, 1])("MM-77 short %j is a fault", async (short) => {
    expect(await refusalOf({ attachments: [{ fields: [{ short }] }] })).toEqual([
      400,
      "model.incoming_hook.parse_data.app_error",
    ]);
  });

  test.each(["good", "#439FE0", "no colour at all"])("the colour %j is kept", async (color) => {
    expect((await post({ attachments: [{ color }] })).attachment?.color).toBe(color);
  });
});

describe("names and pictures", () => {
  test("MM-78 payload before hook before the word webhook; nothing when switched off", async () => {
    const named = { overrideName: "Hook's name" };
    const payload = await post({ text: "x", username: "Alert Manager" }, { hook: named });
    expect([payload.props.override_username, payload.author?.name]).toEqual([
      "Alert Manager",
      "Alert Manager",
    ]);
    const hook = await post({ text: "x" }, { hook: named });
    expect(hook.props.override_username).toBe("Hook's name");
    const none = await post({ text: "x" });
    expect([none.props.override_username, none.author?.name]).toEqual(["webhook", "webhook"]);
    const off = await post(
      { text: "x", username: "U", icon_url: "http://i.example/", icon_emoji: "tada" },
      { hook: named, switches: { usernameOverride: false, iconOverride: false } },
    );
    expect(off.props).toEqual({ from_webhook: "true", webhook_display_name: "Alerts" });
    expect(off.author).toMatchObject({
      type: AuthorType.USER,
      name: "Ada",
      iconUrl: "",
      iconEmoji: "",
    });
  });

  test("MM-79 the payload's icon beats the hook's, and an emoji is told as sent", async () => {
    const hook = { overrideIconUrl: "http://i.example/hook.png" };
    const { props, author } = await post(
      { text: "x", icon_url: "http://i.example/payload.png", icon_emoji: ":tada:" },
      { hook },
    );
    expect(props).toMatchObject({
      override_icon_url: "http://i.example/payload.png",
      override_icon_emoji: ":tada:",
    });
    expect(author).toMatchObject({ iconUrl: "http://i.example/payload.png", iconEmoji: "tada" });
    expect((await post({ text: "x" }, { hook })).props.override_icon_url).toBe(
      "http://i.example/hook.png",
    );
  });

  test("an icon that is no web address is a prop and nobody's picture", async () => {
    const { props, author } = await post({ text: "x", icon_url: "javascript:alert(1)" });
    expect([props.override_icon_url, author?.iconUrl]).toEqual(["javascript:alert(1)", ""]);
  });
});

describe("markup", () => {
  test.each([
    ["<https://x.example|X>", "[X](https://x.example)"],
    ["<!channel> <!here> <!all>", "@channel @here @all"],
    [`<@${idOf(PERSON_ID)}>`, "@m"],
    ["<@U024BE7LH>", "<@U024BE7LH>"],
    [`<@${idOf(createId())}>`, undefined],
    ["<https://x.example>", "<https://x.example>"],
    ["<!everyone> <!group> <#C123>", "<!everyone> <!group> <#C123>"],
    ["<#C123|general> <!subteam^S1|@ops>", "[general](#C123) [@ops](!subteam^S1)"],
    ["*bold* &lt;&gt;&amp;", "*bold* &lt;&gt;&amp;"],
    ["`<https://x.example|X>`", "`[X](https://x.example)`"],
  ])("MM-80 %j becomes %j", async (text, converted) => {
    expect((await post({ text })).content?.text).toBe(converted ?? text);
  });

  test.each([
    "`if(a < B || c >= D)`",
    "`a < b || c >= d`",
    "< | \n|\n>",
    "<>|<>|",
    "* 1a2b3c4 - (HEAD) fix | a <a@b>\n* 5d6e7f8 - merge <c@d.example> | x\n|\\  \n| * 9a8b7c6 <e@f>\n",
    "<a\n|b>",
  ])("MM-81 the text %j stays as it is", async (text) => {
    expect((await post({ text })).content?.text).toBe(text);
  });

  test.each(["`if(a < B || c >= D)`", "< | \n|\n>", "<>|<>|"])(
    "MM-81 in attachments too: %j",
    async (text) => {
      expect((await post({ attachments: [{ text }] })).attachment?.text).toBe(text);
    },
  );

  test("MM-82 links are converted in text, pretext and values, and not in the title", async () => {
    const link = "<https://x.example|X\nY> <!here>";
    const { attachment } = await post({
      attachments: [
        { text: link, pretext: link, title: link, fields: [{ title: link, value: link }] },
      ],
    });
    const converted = "[X\nY](https://x.example) @here";
    expect([attachment?.text, attachment?.pretext, attachment?.fields[0]?.value]).toEqual([
      converted,
      converted,
      converted,
    ]);
    expect(attachment?.title).toBe("<https://x.example|X\nY> @here");
    expect(attachment?.fields[0]?.name).toBe(link);
  });
});

describe("sizes", () => {
  test("MM-83 a text of 8,200 is one message, one of 24,574 two, in order and uncut inside characters", async () => {
    expect((await post({ text: "x".repeat(8_200) })).messages).toHaveLength(1);
    const text = "😀é".repeat(12_287);
    const { messages } = await post({ text });
    const texts = messages.map(({ content }) => content?.text ?? "");
    expect(texts.map(countCodePoints)).toEqual([TEXT_MAX, 8_191]);
    expect(texts.join("")).toBe(text);
    expect(texts.every((part) => part.isWellFormed())).toBe(true);
  });

  test("MM-83 pieces are never empty", () => {
    expect(splitText("x".repeat(TEXT_MAX))).toHaveLength(1);
    expect(splitText("😀".repeat(2 * TEXT_MAX))).toHaveLength(2);
  });

  const raised = { switches: { bodyBytesMax: 4_000_000 } };

  test("MM-84 attachments ride on the last split; props on all", async () => {
    const { messages } = await post({
      text: "x".repeat(TEXT_MAX + 1),
      attachments: [{ text: "a" }],
      props: { card: "c" },
    });
    expect(messages.map(({ content }) => content?.attachments.length)).toEqual([0, 1]);
    for (const { content } of messages) {
      expect(JSON.parse(content?.propsJson ?? "")).toMatchObject({ card: "c" });
    }
  });

  test("MM-84 two attachments too big together take a second message with an empty text", async () => {
    const text = "x".repeat(500_000);
    const { messages } = await post({ text: "t", attachments: [{ text }, { text }] }, raised);
    expect(messages.map(({ content }) => [content?.text, content?.attachments.length])).toEqual([
      ["t", 1],
      ["", 1],
    ]);
  });

  test("MM-84 no message takes more bytes than may be stored: attachments go on further ones before that", async () => {
    const text = "é".repeat(60_000); // 120,000 bytes
    const { messages } = await post({ text: "t", attachments: [{ text }, { text }] });
    expect(messages.map(({ content }) => content?.attachments.length)).toEqual([1, 1]);
  });

  test("MM-84 one attachment too big by itself loses the end of its text, or is refused", async () => {
    const text = "\n".repeat(PROPS_MAX);
    const { attachment } = await post({ attachments: [{ text }] }, raised);
    expect(attachment?.text.length).toBeGreaterThan(PROPS_MAX / 2 - 1_000);
    expect(attachment?.text.length).toBeLessThan(PROPS_MAX / 2);
    const fallback = "x".repeat(PROPS_MAX);
    expect(await refusalOf({ attachments: [{ fallback, text: "abc" }] }, raised)).toEqual([
      400,
      "web.incoming_webhook.split_props_length.app_error",
    ]);
  });

  test("MM-85 props too large are refused; card survives; the server's own names do not come from outside", async () => {
    expect(await refusalOf({ text: "x", props: { a: "x".repeat(1_500_000) } }, raised)).toEqual([
      400,
      "web.incoming_webhook.split_props_length.app_error",
    ]);
    const { props, content } = await post({
      text: "x",
      props: {
        card: "**card**",
        from_webhook: "no",
        override_username: "no",
        override_icon_url: "no",
        webhook_display_name: "no",
        override_icon_emoji: "kept",
        attachments: [{ text: "no" }],
      },
    });
    expect(props).toEqual({
      card: "**card**",
      from_webhook: "true",
      webhook_display_name: "Alerts",
      override_username: "webhook",
      override_icon_emoji: "kept",
    });
    expect(content?.attachments).toEqual([]);
  });
});

describe("kind, priority, thread", () => {
  test("MM-86 custom types are kept, attachments name their own, system types are refused", async () => {
    expect((await post({ text: "x", type: "custom_x" })).first.kind).toBe("custom_x");
    const attached = await post({ type: "custom_x", attachments: [{ text: "a" }] });
    expect(attached.first.kind).toBe("slack_attachment");
    for (const type of ["system_generic", "other"]) {
      expect(await refusalOf({ text: "x", type })).toEqual([
        400,
        "api.context.invalid_param.app_error",
      ]);
    }
  });

  test("MM-87 a priority is carried; one without its inner member is refused", async () => {
    const priority = { priority: "urgent", requested_ack: true };
    expect((await post({ text: "x", priority })).first.priority).toMatchObject({
      level: "urgent",
      requestedAck: true,
      persistentNotifications: false,
    });
    for (const faulty of [{}, { priority: null }, { priority: "loud" }]) {
      expect(await refusalOf({ text: "x", priority: faulty })).toEqual([
        400,
        "api.context.invalid_param.app_error",
      ]);
    }
  });

  test("MM-88 a root message of the channel takes replies; other ids are refused", async () => {
    const root = messageOf(channels.c1);
    const elsewhere = messageOf(channels.c2);
    const reply = messageOf(channels.c1, root.id);
    const world = { messages: [root, elsewhere, reply] };
    expect((await post({ text: "x", root_id: idOf(root.id) }, world)).first.rootId).toBe(root.id);
    for (const id of [idOf(elsewhere.id), idOf(reply.id), idOf(createId()), "junk"]) {
      expect((await refusalOf({ text: "x", root_id: id }, world))[0]).toBe(400);
    }
  });

  test("MM-89 a delivery that succeeded counts as a use of the hook, one that failed does not", async () => {
    const { opened } = await post({ text: "x" });
    expect(opened.touched).toEqual([opened.record.id]);
    await opened.sendJson({ text: "x", channel: "junk" });
    await opened.sendJson({ text: "" });
    expect(opened.touched).toHaveLength(1);
  });
});
