"""Mail by way of the outbox: at least once, and recognisable when twice."""

from django.conf import settings
from django.core.mail import EmailMessage

from marefia.outbox.models import OutboxRow
from marefia.outbox.queue import put
from marefia.outbox.registry import errand


def post(*, to: str, subject: str, body: str) -> OutboxRow:
    """Store a mail in the current transaction; a worker sends it. A subject is made one line, as mail demands."""
    return put("outbox.mail", {"to": to, "subject": " ".join(subject.split()), "body": body})


def message_id(row: OutboxRow) -> str:
    """Return the Message-ID of a row's mail: the same for each attempt, so that a mailbox keeps one."""
    domain = settings.DEFAULT_FROM_EMAIL.rpartition("@")[2].rstrip(">")
    return f"<outbox.{row.pk}.{row.created_at:%Y%m%d%H%M%S%f}@{domain}>"


@errand("outbox.mail")
def send_mail(row: OutboxRow) -> None:
    """Send one mail."""
    payload = row.payload
    headers = {"Message-ID": message_id(row)}
    EmailMessage(payload["subject"], payload["body"], to=[payload["to"]], headers=headers).send()
