"""To whom a report is sent when it is made: the options, checked before anything runs, and the
sending.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retention.cli.terminal import echo
from retention.errors import DeliveryError
from retention.words import say

if TYPE_CHECKING:
    from email.message import EmailMessage

    from retention.deliver.digest import Front
    from retention.deliver.mail import Server


def about_sending(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say to whom a report is sent."""
    options = (
        click.option(
            "--mail-to",
            default="",
            envvar="RETENTION_MAIL_TO",
            help="Mail the digest to these addresses (commas); RETENTION_SMTP_* name the server.",
        ),
        click.option(
            "--mail-owners",
            type=click.Path(path_type=Path),
            envvar="RETENTION_MAIL_OWNERS",
            help="A CSV file (owner, address): mail each owner what is due of theirs.",
        ),
        click.option(
            "--webhook",
            default="",
            envvar="RETENTION_WEBHOOK",
            help="Post headline and counts to this address, as Slack takes them.",
        ),
        click.option(
            "--link",
            default="",
            envvar="RETENTION_LINK",
            help="Where readers open the report: the address that mails and messages link to.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@contextmanager
def not_sent() -> Iterator[None]:
    """Says that a message could not be sent, where something else has to be said as well."""
    try:
        yield
    except DeliveryError as error:
        echo(error, err=True)


@dataclass(frozen=True)
class Recipients:
    """To whom a run is sent; nobody unless asked."""

    everybody: list[str] = field(default_factory=list)
    owners: dict[str, str] = field(default_factory=dict)  # addresses by owner
    webhook: str = field(default="", repr=False)
    link: str = ""
    server: Server | None = None

    def made(self, run: Path) -> None:
        """Send the digest of a run that is made. DeliveryError where it is not taken."""
        if not (self.server or self.webhook):
            return
        from retention.report.index import front_of

        front = front_of(run)
        if self.server:
            from retention.deliver import mail

            mail.send(self._mails(front, self.server), self.server)
        if self.webhook:
            from retention.deliver import channel

            channel.post(self.webhook, channel.text_of(front, self.link))

    def _mails(self, front: Front, server: Server) -> list[EmailMessage]:
        """The whole to all that were named, and to each owner what is due of theirs."""
        from retention.deliver import digest, mail

        sender = server.sender
        mails = [mail.message(front, sender, to, self.link) for to in self.everybody]
        due = sorted(digest.by_owner(front.due))
        for owner in due:
            if owner in self.owners:
                own = digest.of_owner(front, owner)
                mails.append(mail.message(own, sender, self.owners[owner], self.link))
        unknown = [owner for owner in due if owner not in self.owners]
        if self.owners and unknown:
            echo(say("deliver.mail.no_row", owners=", ".join(unknown)), err=True)
        return mails

    def stopped(self, line: str) -> None:
        """Send the one sentence of a run that stopped to all that were named."""
        if self.server and self.everybody:
            from retention.deliver import mail

            sender = self.server.sender
            mail.send([mail.failure(line, sender, to) for to in self.everybody], self.server)
        if self.webhook:
            from retention.deliver import channel

            channel.post(self.webhook, channel.plain(line))


def recipients(mail_to: str, mail_owners: Path | None, webhook: str, link: str) -> Recipients:
    """Whom the options name. ConfigError where an address, the owners' file or the server that the
    environment names is wrong.
    """
    if not (mail_to or mail_owners or webhook):
        return Recipients()
    from retention.deliver import channel, mail

    everybody = mail.addresses(mail_to)
    owners = mail.owners_in(mail_owners) if mail_owners else {}
    server = mail.server_from(os.environ) if everybody or owners else None
    address = channel.checked(webhook) if webhook else ""
    return Recipients(everybody, owners, address, link, server)
