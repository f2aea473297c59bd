"""Mistakes that the types of a client must find; each line with one says so."""

from headgate_client import AuthenticatedClient
from headgate_client.api.channels import list_channels
from headgate_client.models import EventWithText, EventWithTextSeverity, EventWithTitle, Message


def mistakes(client: AuthenticatedClient, message: Message) -> None:
    EventWithText(txt="disk 91 %")  # mistake
    EventWithText(text="disk 91 %", severty=EventWithTextSeverity.ERROR)  # mistake
    EventWithText(text="disk 91 %", severity="error")  # mistake
    EventWithTitle()  # mistake
    list_channels.sync(client=client, nmae="alerts")  # mistake
    print(message.autor)  # mistake
