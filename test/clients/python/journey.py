"""A program of a user: with a client made from the OpenAPI, from a new channel to a stream that goes on where it ended."""

import json
import os
import uuid
from typing import TypeVar

from headgate_client import AuthenticatedClient
from headgate_client.api.channels import create_channel, list_channels
from headgate_client.api.hook import post_event
from headgate_client.api.incoming_hooks import create_incoming_hook
from headgate_client.api.messages import list_messages
from headgate_client.models import (
    Channel,
    ChannelPage,
    CreateChannelBody,
    CreateIncomingHookBody,
    CreateIncomingHookBodyAction,
    CreateIncomingHookBodyDialect,
    CreateIncomingHookBodyTarget,
    EventField,
    EventWithText,
    EventWithTextProps,
    EventWithTextSeverity,
    EventWithTitle,
    Message,
    MessagePage,
    NewIncomingHook,
    PostEventWait,
)

T = TypeVar("T")
STREAM = "/api/headgate/v1/stream"

client = AuthenticatedClient(base_url=os.environ["HEADGATE_URL"], token=os.environ["TOKEN"])


def need(answer: object, wanted: type[T]) -> T:
    if not isinstance(answer, wanted):
        raise SystemExit(f"not {wanted.__name__}: {answer}")
    return answer


def follow(channel: Channel, last_id: str | None, count: int) -> tuple[str | None, list[Message]]:
    """Reads the stream behind an id until it is ready and has shown so many messages."""
    headers = {} if last_id is None else {"Last-Event-ID": last_id}
    messages: list[Message] = []
    event = ""
    http = client.get_httpx_client()
    with http.stream("GET", STREAM, params={"channels": str(channel.id)}, headers=headers) as lines:
        for line in lines.iter_lines():
            name, _, value = line.partition(": ")
            if name == "event":
                event = value
            elif name == "id":
                last_id = value
            elif name == "data" and event == "message":
                messages.append(Message.from_dict(json.loads(value)))
            elif line == "" and event == "ready" and len(messages) >= count:
                return last_id, messages
    raise SystemExit("the stream ended")


channel = need(
    create_channel.sync(
        client=client,
        body=CreateChannelBody(team_id=uuid.UUID(os.environ["TEAM_ID"]), name=f"py-{uuid.uuid4()}"),
    ),
    Channel,
)
hook = need(
    create_incoming_hook.sync(
        client=client,
        body=CreateIncomingHookBody(
            action=CreateIncomingHookBodyAction.CHAT_MESSAGE,
            dialect=CreateIncomingHookBodyDialect.HEADGATE,
            name="disks",
            target=CreateIncomingHookBodyTarget(channel_id=channel.id),
        ),
    ),
    NewIncomingHook,
)
found = need(list_channels.sync(client=client, name=channel.name), ChannelPage)

last_id, shown = follow(channel, None, 0)
props = EventWithTextProps()
props["host"] = "db-3"
events: list[EventWithText | EventWithTitle] = [
    EventWithText(text="disk 91 % on db-3", severity=EventWithTextSeverity.WARNING, props=props),
    EventWithTitle(title="resolved", fields=[EventField(name="host", value="db-3", short=True)]),
]
for event in events:
    posted = post_event.sync(
        str(hook.token), client=client, body=event, wait=PostEventWait.READABLE
    )
    need(posted, Message)
last_id, missed = follow(channel, last_id, 2)

first = need(list_messages.sync(channel.id, client=client, after=0, limit=1), MessagePage)
second = need(list_messages.sync(channel.id, client=client, after=first.next_ or 0), MessagePage)

print(
    json.dumps(
        {
            "found": [row.id == channel.id for row in found.data],
            "read": [[row.text, row.title] for row in first.data + second.data],
            "streamed": [message.text or message.title for message in missed],
        }
    )
)
