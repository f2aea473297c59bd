/** The contract of a message's form; message.ts renders it. */
import { Type } from "typebox";
import { Id, nullable, Time } from "./forms.ts";
import { named } from "./named.ts";

const Text = nullable(Type.String());

const FieldForm = named(
  "Field",
  Type.Object({ name: Type.String(), value: Type.String(), short: Type.Boolean() }),
);

const AttachmentForm = named(
  "Attachment",
  Type.Object({
    id: nullable(Type.Integer()),
    fallback: Text,
    color: Text,
    pretext: Text,
    author_name: Text,
    author_link: Text,
    author_icon: Text,
    title: Text,
    title_link: Text,
    text: Text,
    fields: Type.Array(FieldForm),
    image_url: Text,
    thumb_url: Text,
    footer: Text,
    footer_icon: Text,
    ts: Type.Unknown({ description: "A string or a number, as sent, or null." }),
    actions: nullable(Type.Array(Type.Unknown())),
  }),
);

const MediaForm = named(
  "MessageMedia",
  Type.Object({
    url: Text,
    type: Text,
    media_id: Text,
    mime_type: Text,
    filename: Text,
    size_bytes: nullable(Type.Integer()),
    width: nullable(Type.Integer()),
    height: nullable(Type.Integer()),
  }),
);

/** A message; what does not apply is null. */
export const MessageForm = named(
  "Message",
  Type.Object({
    id: Id,
    number: nullable(Type.Integer()),
    channel_id: Id,
    position: Type.Integer({ minimum: 1 }),
    text: Text,
    title: Text,
    severity: nullable(
      named(
        "Severity",
        Type.Unsafe<string>({
          type: "string",
          enum: ["ok", "info", "warning", "error", "critical"],
        }),
      ),
    ),
    link: Text,
    fields: Type.Array(FieldForm),
    attachments: Type.Array(AttachmentForm),
    media: Type.Array(MediaForm),
    author: named(
      "Author",
      Type.Object({
        type: Type.Unsafe<string>({ type: "string", enum: ["user", "bot"] }),
        id: nullable(Id),
        name: Text,
        icon_url: Text,
      }),
    ),
    hook_id: nullable(Id),
    dialect: Text,
    root_id: nullable(Id),
    props: nullable(Type.Object({}, { additionalProperties: true })),
    dedup_key: Text,
    count: Type.Integer({ minimum: 0 }),
    first_at: nullable(Time),
    last_at: nullable(Time),
    accepted_at: nullable(Time),
    edited_at: nullable(Time),
  }),
);
