"""A short message to a channel, by a webhook as Slack, Mattermost and others take it."""

from __future__ import annotations

from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from retention.deliver.digest import Front
from retention.errors import ConfigError, DeliveryError
from retention.words import say

SECONDS = (5, 15)  # to connect, to answer
TRIES = 3  # again after an answer that may pass
PASSING = (429, 500, 502, 503, 504)
TAKEN = range(200, 300)
PAUSE = 1.0  # seconds before the second try, doubled each time
MARKUP = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def checked(url: str) -> str:
    """The address of a webhook; ConfigError where it is none. The address itself is a secret, so no
    message holds it.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(say("deliver.webhook.address"))
    return url


def text_of(front: Front, link: str = "") -> str:
    """What the channel is told: headline, tiles and how many clients are due; no client's name."""
    lines = [
        say("deliver.digest.title", whose=front.whose, cutoff=front.cutoff),
        *(line for line in front.headline if line),
        *(f"{tile['label']}: {tile['value']}" for tile in front.tiles),
        say("deliver.digest.due", n=len(front.due)),
    ]
    text = plain("\n".join(lines))
    return f"{text}\n{link}" if link else text


def plain(text: str) -> str:
    """A text in which the channel sees no markup, and calls nobody."""
    return text.translate(MARKUP)


def post(url: str, text: str) -> None:
    """Post `{"text": ...}` as JSON; DeliveryError where `TRIES` more tries do not help."""
    again = Retry(
        total=TRIES,
        backoff_factor=PAUSE,
        status_forcelist=PASSING,
        allowed_methods=("POST",),
        raise_on_status=False,
    )
    host = urlsplit(url).hostname
    try:
        with requests.Session() as session:
            session.mount(f"{urlsplit(url).scheme}://", HTTPAdapter(max_retries=again))
            answer = session.post(url, json={"text": text}, timeout=SECONDS, allow_redirects=False)
    except requests.RequestException as error:  # whose text holds the address
        problem = type(error).__name__
        raise DeliveryError(say("deliver.webhook.failed", host=host, problem=problem)) from None
    if answer.status_code not in TAKEN:
        raise DeliveryError(say("deliver.webhook.failed", host=host, problem=answer.status_code))
