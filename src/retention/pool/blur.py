"""Noise on what leaves an agency, so that nobody who knows all its clients but one can tell from it
what that one did.

Noise is drawn from the agency's own secret and from what it hides: the same run gives the same
numbers, however often it is shared, so that nothing is gained by asking again; a run on other
data, though one client differs, has other noise. Source: METHODS 13.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retention.errors import ConfigError
from retention.words import say

FILE = ".agency"  # beside the runs: the agency's code, and under it the secret of its noise
NOISE = 0.5  # (ours) of an estimate's standard error
ERROR_NOISE = 0.05  # (ours) of the standard error itself
DIGITS = 2  # of a standard error


@dataclass(frozen=True)
class Blur:
    """The noise of one agency: known by its `code`, drawn from its `secret`, which never leaves."""

    code: str
    secret: bytes
    smallest: int

    def estimate(self, name: str, theta: float, se: float) -> tuple[float, float]:
        """The estimate with noise of half its standard error, and a standard error that allows for
        it; both rounded to its second digit.
        """
        noise = self._noise(name, theta, se)
        told = theta + noise.normal() * NOISE * se
        whole = se * math.hypot(1, NOISE)
        error = whole * math.exp(noise.normal() * ERROR_NOISE)
        digits = max(DIGITS - 1 - math.floor(math.log10(error)), 0)
        return round(told, digits), round(error, digits)

    def count(self, name: str, count: int, step: int = 0) -> int:
        """The count give or take about as many as a row must rest on, rounded down to whole steps
        (of `smallest`, where nothing else is said); 0 or more.
        """
        chance = 1 - math.exp(-1 / self.smallest)
        noise = self._noise(name, count, step)
        more, less = noise.geometric(chance, 2)
        steps = step or self.smallest
        return max(count + int(more) - int(less), 0) // steps * steps

    def _noise(self, name: str, *hidden: float) -> np.random.Generator:
        """Random numbers that nobody can make again without the secret."""
        about = json.dumps([name, *hidden]).encode()
        digest = hmac.digest(self.secret, about, hashlib.sha256)
        return np.random.default_rng(int.from_bytes(digest))


def blur_of(folder: Path, smallest: int) -> Blur:
    """The noise of the agency whose runs lie in this folder: its code and secret are drawn at
    random once, and kept there, so that an agency that shares twice is known to be one and nobody
    can tell which.

    ConfigError where the file cannot be used.
    """
    path = folder / FILE
    try:
        if not path.is_file():
            _write(path)
        lines = path.read_text("utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        reason = type(error).__name__
        raise ConfigError(say("pool.error.no_code", file=FILE, reason=reason)) from None
    if not re.fullmatch("[0-9a-f]{16} [0-9a-f]{64}", " ".join(lines)):
        raise ConfigError(say("pool.error.no_code", file=FILE, reason="ValueError"))
    code, secret = lines
    return Blur(code, bytes.fromhex(secret), smallest)


def _write(path: Path) -> None:
    """Draw a code and a secret, and keep them where only this user can read them."""
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
    with os.fdopen(os.open(path, flags, 0o600), "w") as file:
        file.write(f"{secrets.token_hex(8)}\n{secrets.token_hex(32)}\n")
