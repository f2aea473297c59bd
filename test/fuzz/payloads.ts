/** Payloads that a hook might take: each member mostly right and sometimes anything. Almost every text holds the mark. */
import fc from "fast-check";
import { MARK } from "./marks.ts";

const oddText = fc.oneof(
  {
    weight: 60,
    arbitrary: fc.constantFrom(
      "",
      " ",
      "\u0000",
      "a\u0000b",
      "\ud800",
      "°C 🙂\n\tx",
      "<!channel> <u|l> <@u1>",
      "@nobody",
      "\u200b\ufeff",
    ),
  },
  { weight: 20, arbitrary: fc.string({ unit: "binary", maxLength: 60 }) },
  { weight: 20, arbitrary: fc.string({ unit: "grapheme-ascii", maxLength: 60 }) },
  // Long ones repeat the mark, so that every piece of a text that is split has one whole.
  { weight: 4, arbitrary: fc.constantFrom(10_000, 10_008, 16_384, 33_000).map(long) },
  { weight: 1, arbitrary: fc.constantFrom(65_536, 200_000, 263_000, 301_000).map(long) },
);

function long(length: number): string {
  return MARK.repeat(Math.ceil(length / MARK.length)).slice(0, length - MARK.length);
}

const text = fc.oneof(
  { weight: 14, arbitrary: fc.constantFrom(`${MARK} ok`, `${MARK} °C 🙂`, `${MARK}\n> *x*`) },
  { weight: 5, arbitrary: oddText.map((tail) => MARK + tail) },
  { weight: 1, arbitrary: oddText },
);

const anything = fc.oneof(
  { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 3 }).map(markTexts) },
  {
    weight: 5,
    arbitrary: fc.constantFrom<unknown>(
      ...[null, true, 0, -1, 1e308, 2 ** 63, 0.1, "", [], {}, [[]], { a: { b: [{}] } }],
      { ["__proto__"]: { text: MARK } },
      { constructor: MARK, toString: MARK },
    ),
  },
);

/** The value with the mark in front of all its texts, its names left alone. */
function markTexts(value: unknown): unknown {
  if (typeof value === "string") return MARK + value;
  if (Array.isArray(value)) return value.map(markTexts);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, markTexts(inner)]));
}

/** A member that is mostly right and sometimes anything. */
function mostly<T>(right: fc.Arbitrary<T>): fc.Arbitrary<unknown> {
  return fc.oneof({ weight: 30, arbitrary: right }, { weight: 1, arbitrary: anything });
}

const link = fc.oneof(
  { weight: 12, arbitrary: fc.constantFrom("http://a.example/x?y#z", "HTTPS://1.2.3.4:80") },
  { weight: 1, arbitrary: fc.webUrl() },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      "http://",
      "https://[::1",
      "ftp://x",
      "http://x:99999",
      "http://%00",
      " ",
    ),
  },
);

const field = fc.record(
  { title: mostly(text), name: mostly(text), value: mostly(text), short: fc.boolean() },
  { requiredKeys: [] },
);

const attachment = fc.record(
  {
    id: mostly(fc.integer()),
    title: mostly(text),
    title_link: mostly(link),
    text: mostly(text),
    fallback: mostly(text),
    pretext: mostly(text),
    color: mostly(fc.constantFrom("good", "#ff0000", "nope")),
    fields: mostly(fc.array(field, { maxLength: 3 })),
    actions: mostly(fc.constantFrom([], [{ name: MARK }], null)),
    ts: mostly(fc.constantFrom(0, MARK, null, 1.5e300)),
    mrkdwn_in: anything,
    author_name: mostly(text),
    image_url: mostly(link),
    footer: mostly(text),
  },
  { requiredKeys: [] },
);

const headgate = fc.record(
  {
    text: mostly(text),
    title: mostly(text),
    severity: mostly(fc.constantFrom("critical", "info", "ok")),
    dedup_key: mostly(text),
    status: mostly(fc.constantFrom("firing", "resolved")),
    fields: mostly(
      fc.array(fc.record({ name: mostly(text), value: mostly(text) }), { maxLength: 3 }),
    ),
    link: mostly(link),
    media: fc.constant([]),
    props: mostly(fc.dictionary(fc.string(), anything, { maxKeys: 4 })),
  },
  { requiredKeys: [] },
);

const mattermost = fc.record(
  {
    text: mostly(text),
    username: mostly(text),
    icon_url: mostly(link),
    icon_emoji: mostly(text),
    channel: mostly(fc.constantFrom("", "", "", "#fuzz-other", "fuzz-other", "nope", "@nobody")),
    attachments: mostly(fc.array(attachment, { maxLength: 3 })),
    type: mostly(fc.constantFrom("", "", "", "custom_x", "system_x")),
    props: mostly(fc.dictionary(fc.string(), anything, { maxKeys: 4 })),
    priority: mostly(
      fc.constantFrom({ priority: "urgent", requested_ack: true }, { priority: "" }),
    ),
    root_id: mostly(fc.constant("")),
    blocks: anything,
  },
  { requiredKeys: [] },
);

const media = fc.array(fc.record({ url: mostly(link), type: mostly(fc.constant("image")) }), {
  maxLength: 12,
});
const monotree = fc.oneof(
  { weight: 3, arbitrary: fc.record({ text: mostly(text), room_id: anything, action: anything }) },
  {
    weight: 1,
    arbitrary: fc.record(
      { text: mostly(text), media: mostly(media), media_ids: anything },
      { requiredKeys: [] },
    ),
  },
);

/** Payloads by dialect. A foreign member comes in now and then. */
export const payloads = {
  headgate: withForeign(headgate),
  mattermost: withForeign(mattermost),
  monotree: withForeign(monotree),
} as const;

function withForeign(payload: fc.Arbitrary<object>): fc.Arbitrary<unknown> {
  return fc.oneof(
    { weight: 26, arbitrary: payload },
    {
      weight: 2,
      arbitrary: fc
        .tuple(payload, fc.string(), anything)
        .map(([members, name, value]) => ({ ...members, [name]: value })),
    },
    { weight: 1, arbitrary: anything },
  );
}
