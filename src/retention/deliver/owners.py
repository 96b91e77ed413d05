"""Owners as names of files."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

NOT_IN_A_NAME = re.compile(r"[^a-z0-9]+")
LONGEST = 40
RESERVED = re.compile("(con|prn|aux|nul|com[0-9]|lpt[0-9])")  # no files of that name on Windows


def file_names(owners: Iterable[str]) -> dict[str, str]:
    """A name for each owner's file, by owner: plain small letters, no two alike; nobody has none.

    >>> file_names(["Zoë Ø.", "Zoe O.", "", "../etc"])
    {'../etc': 'etc', 'Zoe O.': 'zoe-o', 'Zoë Ø.': 'zoe'}
    """
    found: dict[str, str] = {}
    for owner in sorted(set(owners) - {""}):
        plain = unicodedata.normalize("NFKD", owner).encode("ascii", "ignore").decode().lower()
        base = NOT_IN_A_NAME.sub("-", plain).strip("-")[:LONGEST] or "owner"
        if RESERVED.fullmatch(base):
            base = f"owner-{base}"
        name, number = base, 1
        while name in found.values():
            number += 1
            name = f"{base}-{number}"
        found[owner] = name
    return found
