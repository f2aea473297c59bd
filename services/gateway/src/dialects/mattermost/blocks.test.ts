import { expect, test } from "vitest";
import { blocksToText } from "./blocks.ts";
import { openWorld } from "./fake-gate.ts";

const mrkdwn = (text: string) => ({ type: "mrkdwn", text });
const plain = (text: string) => ({ type: "plain_text", text });
const rich = (...elements: object[]) => [{ type: "rich_text", elements }];
const section = (...elements: object[]) => ({ type: "rich_text_section", elements });

test.each([
  [
    "a section",
    [{ type: "section", text: mrkdwn("disk *91%* on ~db-2~ db-3") }],
    "disk **91%** on ~~db-2~~ db-3",
  ],
  ["code", [{ type: "section", text: mrkdwn("`a *b* c` and 2*3*4") }], "`a *b* c` and 2*3*4"],
  ["plain text", [{ type: "section", text: plain("*as it is*") }], "*as it is*"],
  [
    "fields",
    [{ type: "section", fields: [mrkdwn("*Host*\ndb-3"), plain("up")] }],
    "**Host**\ndb-3\nup",
  ],
  ["a header", [{ type: "header", text: plain("Firing") }], "#### Firing"],
  [
    "several",
    [
      { type: "header", text: plain("A") },
      { type: "divider" },
      { type: "section", text: plain("b") },
    ],
    "#### A\n\n---\n\nb",
  ],
  [
    "a context",
    [
      {
        type: "context",
        elements: [
          mrkdwn("by *x*"),
          { type: "image", image_url: "https://a.example/i.png", alt_text: "i" },
        ],
      },
    ],
    "by **x** ![i](https://a.example/i.png)",
  ],
  [
    "buttons",
    [
      {
        type: "actions",
        elements: [
          { type: "button", text: plain("Runbook"), url: "https://a.example" },
          { type: "button", text: plain("Ack"), value: "1" },
        ],
      },
    ],
    "[Runbook](https://a.example)",
  ],
  [
    "an accessory",
    [
      {
        type: "section",
        text: plain("a"),
        accessory: { type: "button", text: plain("b"), url: "https://a.example" },
      },
    ],
    "a\n[b](https://a.example)",
  ],
  [
    "a picture",
    [
      {
        type: "image",
        title: plain("Load"),
        image_url: "https://a.example/g.png",
        alt_text: "graph",
      },
    ],
    "![Load](https://a.example/g.png)",
  ],
  ["Markdown", [{ type: "markdown", text: "**kept** _as_ it is" }], "**kept** _as_ it is"],
  [
    "a table",
    [
      {
        type: "table",
        rows: [
          [
            { type: "raw_text", text: "a" },
            { type: "raw_text", text: "b" },
          ],
        ],
      },
    ],
    "a | b",
  ],
  [
    "styles",
    rich(
      section(
        { type: "text", text: "a " },
        { type: "text", text: "b ", style: { bold: true, italic: true } },
        { type: "text", text: "c", style: { code: true } },
      ),
    ),
    "a **_b_** `c`",
  ],
  [
    "links and emoji",
    rich(
      section(
        { type: "link", url: "https://a.example", text: "x" },
        { type: "emoji", name: "fire" },
        { type: "link", url: "https://b.example" },
      ),
    ),
    "[x](https://a.example):fire:https://b.example",
  ],
  [
    "lists",
    rich({
      type: "rich_text_list",
      style: "ordered",
      elements: [section({ type: "text", text: "a" }), section({ type: "text", text: "b" })],
    }),
    "1. a\n2. b",
  ],
  [
    "code blocks and quotes",
    rich(
      { type: "rich_text_preformatted", elements: [{ type: "text", text: "a\nb" }] },
      { type: "rich_text_quote", elements: [{ type: "text", text: "c\nd" }] },
    ),
    "```\na\nb\n```\n> c\n> d",
  ],
  ["a block that is not known", [{ type: "later", text: plain("a") }], "a"],
  [
    "what is no block",
    [null, 5, "x", [], { type: "section" }, { type: "rich_text", elements: {} }],
    "",
  ],
  ["no list", { type: "section" }, ""],
])("renders %s", (_what, blocks, text) => {
  expect(blocksToText(blocks)).toBe(text);
});

const contentOf = ({ accepted }: ReturnType<typeof openWorld>) => {
  const action = accepted[0]?.action;
  return action?.case === "chatMessage" ? action.value.content : undefined;
};

test("a message that holds only blocks is kept as their text, Slack's links converted", async () => {
  const world = openWorld();
  const blocks = [{ type: "section", text: mrkdwn("see <https://a.example|the *runbook*>") }];
  expect((await world.sendJson({ blocks })).status).toBe(200);
  expect(contentOf(world)?.text).toBe("see [the **runbook**](https://a.example)");
});

test("an attachment that holds only blocks is kept as their text", async () => {
  const world = openWorld();
  const blocks = [{ type: "section", text: mrkdwn("disk 91%") }];
  expect((await world.sendJson({ attachments: [{ color: "#f00", blocks }] })).status).toBe(200);
  expect(contentOf(world)?.attachments[0]).toMatchObject({ color: "#f00", text: "disk 91%" });
});

test("blocks beside a text change nothing", async () => {
  const world = openWorld();
  const blocks = [{ type: "section", text: mrkdwn("b") }];
  await world.sendJson({ text: "a", blocks, attachments: [{ text: "c", blocks }] });
  expect(contentOf(world)).toMatchObject({ text: "a", attachments: [{ text: "c" }] });
});

test("blocks without any text are no content", async () => {
  expect((await openWorld().sendJson({ blocks: [{ type: "actions", elements: [] }] })).status).toBe(
    400,
  );
});
