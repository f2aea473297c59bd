/** Pure: a good body and its hook → the canonical event. */
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { AppError } from "@headgate/kit/errors";
import {
  AlertStatus,
  type Author,
  AuthorType,
  type Event,
  type Fold,
  Severity,
} from "@headgate/proto/event/v1/event";
import type { Hook } from "../../dialect.ts";
import type { NativeEvent, SeverityName } from "./schema.ts";

const SEVERITIES: Readonly<Record<SeverityName, Severity>> = {
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
  const ms = now.getTime();
  const seconds = Math.floor(ms / 1000);
  return {
    hook,
    channelId: channel.id,
    author: authorOf(hook),
    acceptedAt: {
      $typeName: "google.protobuf.Timestamp",
      seconds: BigInt(seconds),
      nanos: (ms - seconds * 1000) * 1e6,
    },
    traceId,
  };
}

/**
 * The event of one good body. Written out with every member, as `create` would leave it: a literal costs a tenth of
 * what `create` does, and this runs once per event.
 */
export function toEvent(body: NativeEvent, id: string, stamp: Stamp): Event {
  return {
    $typeName: "headgate.event.v1.Event",
    id,
    acceptedAt: stamp.acceptedAt,
    teamId: stamp.hook.record.teamId,
    origin: {
      $typeName: "headgate.event.v1.Origin",
      dialect: "headgate",
      hookId: stamp.hook.record.id,
      outgoingHookId: "",
      hop: 0,
      traceId: stamp.traceId,
    },
    author: stamp.author,
    number: 0n,
    action: {
      case: "chatMessage",
      value: {
        $typeName: "headgate.event.v1.ChatMessage",
        channelId: stamp.channelId,
        content: {
          $typeName: "headgate.event.v1.Content",
          text: body.text ?? "",
          title: body.title ?? "",
          severity: body.severity === undefined ? Severity.UNSPECIFIED : SEVERITIES[body.severity],
          link: body.link ?? "",
          fields: (body.fields ?? []).map(({ name, value, short }) => ({
            $typeName: "headgate.event.v1.Field",
            name,
            value,
            short: short ?? false,
          })),
          attachments: [],
          media: [],
          propsJson: body.props === undefined ? "" : JSON.stringify(body.props),
        },
        rootId: "",
        fold: toFold(body),
        priority: undefined,
        kind: "",
      },
    },
  };
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

function authorOf({ record, bot, owner }: Hook): Author {
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
  return {
    $typeName: "headgate.event.v1.Author",
    type: writer.isBot ? AuthorType.BOT : AuthorType.USER,
    id: writer.id,
    name: record.overrideName || writer.displayName || writer.name,
    iconUrl: record.overrideIconUrl,
    iconEmoji: "",
  };
}
