/** Pure: a good body and its hook → the canonical event. */
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { AppError } from "@headgate/kit/errors";
import {
  AlertStatus,
  type Author,
  type Event,
  type Field,
  type Fold,
  Severity,
} from "@headgate/proto/event/v1/event";
import type { Hook } from "../../dialect.ts";
import { authorOf, chatMessageEvent, timestampOf } from "../../events.ts";
import type { NativeEvent, SeverityName } from "./schema.ts";

/** Severities by their names in JSON. */
export const SEVERITIES: Readonly<Record<SeverityName, Severity>> = {
  critical: Severity.CRITICAL,
  error: Severity.ERROR,
  warning: Severity.WARNING,
  info: Severity.INFO,
  ok: Severity.OK,
};

/** What events of one request share. */
export type Stamp = {
  readonly hook: Hook;
  readonly channelId: string;
  readonly author: Author;
  readonly acceptedAt: Timestamp;
  readonly traceId: string;
};

/**
 * What the events of a request of this hook share.
 * @throws AppError not_found `target_gone`, `writer_gone` (http 410): the hook stands, what it names does not
 */
export function createStamp(hook: Hook, now: Date, traceId: string): Stamp {
  const { channel } = hook;
  if (!channel || channel.archivedAt) {
    throw new AppError("not_found", "target_gone", "The channel of this hook is gone.", {
      http: 410,
    });
  }
  return {
    hook,
    channelId: channel.id,
    author: writerOf(hook),
    acceptedAt: timestampOf(now),
    traceId,
  };
}

/** The event of one good body. */
export function toEvent(body: NativeEvent, id: string, stamp: Stamp): Event {
  const { record } = stamp.hook;
  return chatMessageEvent({
    id,
    acceptedAt: stamp.acceptedAt,
    teamId: record.teamId,
    origin: { dialect: "headgate", hookId: record.id, traceId: stamp.traceId },
    author: stamp.author,
    channelId: stamp.channelId,
    fold: toFold(body),
    content: toContent(body),
  });
}

type Shown = Pick<NativeEvent, "text" | "title" | "severity" | "link" | "fields" | "propsText">;

/** What is shown, of a hook's event and of a draft alike. */
export function toContent({ text, title, severity, link, fields, propsText }: Shown) {
  return {
    text: text ?? "",
    title: title ?? "",
    severity: severity === undefined ? Severity.UNSPECIFIED : SEVERITIES[severity],
    link: link ?? "",
    fields: fields === undefined ? [] : fields.map(toField),
    propsJson: propsText ?? "",
  };
}

function toField({ name, value, short }: NonNullable<NativeEvent["fields"]>[number]): Field {
  return { $typeName: "headgate.event.v1.Field", name, value, short: short ?? false };
}

function toFold({ dedup_key, status }: NativeEvent): Fold | undefined {
  if (dedup_key === undefined && status === undefined) return undefined;
  return {
    $typeName: "headgate.event.v1.Fold",
    key: dedup_key ?? "",
    status: status === "resolved" ? AlertStatus.RESOLVED : AlertStatus.FIRING,
    windowSeconds: 0,
  };
}

function writerOf({ record, bot, owner }: Hook): Author {
  const writer = bot ?? owner;
  if (!writer) {
    throw new AppError(
      "not_found",
      "writer_gone",
      "The account that this hook writes as is gone.",
      {
        http: 410,
      },
    );
  }
  return authorOf({
    isBot: writer.isBot,
    id: writer.id,
    name: record.overrideName || writer.displayName || writer.name,
    iconUrl: record.overrideIconUrl,
  });
}
