"""The digest as a mail, handed to an SMTP server that the environment names.

The password comes from the environment alone and is written nowhere. The connection is encrypted
and the server's certificate is checked; only a server on this machine may do without.
"""

from __future__ import annotations

import base64
import csv
import re
import smtplib
import ssl
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path

from retention.deliver import digest
from retention.deliver.digest import Front
from retention.errors import ConfigError, DeliveryError, one_line
from retention.words import say

PREFIX = "RETENTION_SMTP_"
SECURITIES = {"starttls": 587, "tls": 465, "none": 25}  # each with its usual port
LOCAL = ("localhost", "127.0.0.1", "::1")
SECONDS = 30
ADDRESS = re.compile(r"[^\s,;<>@]+@[^\s,;<>@]+|[^<>@,;\r\n]+<[^\s,;<>@]+@[^\s,;<>@]+>")
PICTURE = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=]+)")


@dataclass(frozen=True)
class Server:
    """An SMTP server; `security` is one of `SECURITIES`."""

    host: str
    port: int
    sender: str
    security: str = "starttls"
    user: str = ""
    password: str = field(default="", repr=False)


def server_from(environment: Mapping[str, str]) -> Server:
    """The server that RETENTION_SMTP_HOST, _PORT, _FROM, _SECURITY, _USER and _PASSWORD name.

    ConfigError that lists all that is missing or wrong.
    """
    given = {
        name.removeprefix(PREFIX).lower(): value.strip()
        for name, value in environment.items()
        if name.startswith(PREFIX) and value.strip()
    }
    security = given.get("security", "starttls")
    port = given.get("port", str(SECURITIES.get(security, 0)))
    host = given.get("host", "")
    sender = given.get("from", "")
    wrong = [say("deliver.mail.no_host")] if not host else []
    if not is_address(sender):
        wrong.append(say("deliver.mail.no_sender"))
    if security not in SECURITIES:
        wrong.append(say("deliver.mail.security", given=security, known=", ".join(SECURITIES)))
    if security == "none" and host and host not in LOCAL:
        wrong.append(say("deliver.mail.open", host=host))
    if not (port.isdigit() and 0 < int(port) < 2**16):
        wrong.append(say("deliver.mail.port", given=port))
    if wrong:
        raise ConfigError("\n".join(wrong))
    return Server(
        host, int(port), sender, security, given.get("user", ""), given.get("password", "")
    )


def is_address(text: str) -> bool:
    """Whether this is one address of a mail."""
    return bool(ADDRESS.fullmatch(text))


def addresses(text: str) -> list[str]:
    """The addresses in a list with commas; ConfigError that lists those which are none."""
    found = [part.strip() for part in text.split(",") if part.strip()]
    wrong = [part for part in found if not is_address(part)]
    if wrong:
        raise ConfigError(say("deliver.mail.address", given=", ".join(wrong)))
    return found


def owners_in(path: Path) -> dict[str, str]:
    """The address of each owner, from a CSV file with the columns `owner` and `address`.

    ConfigError that lists all that is wrong in it.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(say("deliver.mail.owners_file", file=path, problem=error)) from error
    heads = set(rows[0]) if rows else set()
    if not {"owner", "address"} <= heads:
        raise ConfigError(say("deliver.mail.owners_heads", file=path))
    if any(None in row for row in rows):  # cells beyond the headings
        raise ConfigError(say("deliver.mail.owners_cells", file=path))
    pairs = [((row["owner"] or "").strip(), (row["address"] or "").strip()) for row in rows]
    wrong = [address for _, address in pairs if not is_address(address)]
    if wrong:
        raise ConfigError(say("deliver.mail.address", given=", ".join(wrong)))
    owners = Counter(owner for owner, _ in pairs)
    unclear = [owner or '""' for owner, count in owners.items() if count > 1 or not owner]
    if unclear:
        raise ConfigError(say("deliver.mail.owners_once", file=path, owners=", ".join(unclear)))
    return dict(pairs)


def message(front: Front, sender: str, to: str, link: str = "") -> EmailMessage:
    """The digest as a mail: plain text, and HTML with its pictures attached to it."""
    mail = envelope(str(digest.subject(front)), sender, to)
    mail.set_content(digest.as_text(front, link))
    html, pictures = _detached(digest.as_html(front, link))
    mail.add_alternative(html, subtype="html")
    body = mail.get_payload()[-1]  # type: ignore[index]
    for name, content in pictures.items():
        body.add_related(  # type: ignore[union-attr]
            content, "image", "png", cid=f"<{name}>", filename=f"{name}.png", disposition="inline"
        )
    return mail


def failure(line: str, sender: str, to: str) -> EmailMessage:
    """The one sentence of a run that stopped, as a mail."""
    mail = envelope(line, sender, to)
    mail.set_content(line + "\n")
    return mail


def envelope(subject: str, sender: str, to: str) -> EmailMessage:
    """A mail without content; what its subject holds of the data is one line."""
    mail = EmailMessage()
    mail["Subject"] = one_line(subject)
    mail["From"] = sender
    mail["To"] = to
    mail["Auto-Submitted"] = "auto-generated"
    return mail


def _detached(html: str) -> tuple[str, dict[str, bytes]]:
    """The page with each picture in it named, not held, and the pictures by name: many mail
    programs do not show a picture that the page holds.
    """
    pictures: dict[str, bytes] = {}

    def name(match: re.Match[str]) -> str:
        cid = f"course-{len(pictures) + 1}@retention"
        pictures[cid] = base64.b64decode(match[1])
        return f"cid:{cid}"

    return PICTURE.sub(name, html), pictures


def send(mails: Iterable[EmailMessage], server: Server) -> None:
    """Hand the mails to the server, over one connection; DeliveryError where it does not take them
    all, with those that it refused.
    """
    refused = []
    try:
        with _connected(server) as connection:
            for mail in mails:
                try:
                    connection.send_message(mail)
                except smtplib.SMTPRecipientsRefused:
                    refused.append(str(mail["To"]))
    except (smtplib.SMTPException, OSError) as error:
        problem = one_line(str(error)) or type(error).__name__
        raise DeliveryError(say("deliver.mail.failed", host=server.host, problem=problem)) from None
    if refused:
        raise DeliveryError(say("deliver.mail.refused", host=server.host, to=", ".join(refused)))


def _connected(server: Server) -> smtplib.SMTP:
    """A connection that is encrypted before anything is said, but for a server on this machine."""
    trusted = ssl.create_default_context()
    if server.security == "tls":
        connection: smtplib.SMTP = smtplib.SMTP_SSL(
            server.host, server.port, timeout=SECONDS, context=trusted
        )
    else:
        connection = smtplib.SMTP(server.host, server.port, timeout=SECONDS)
    try:
        if server.security == "starttls":
            connection.starttls(context=trusted)
        if server.user:
            connection.login(server.user, server.password)
    except BaseException:
        connection.close()
        raise
    return connection
