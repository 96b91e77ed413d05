"""Ids that nobody knows and that are nearly somebody's: without leading zeros, in capitals, with
other signs.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping

import pandas as pd

# Letters of other scripts that look like ours, in either case.
_CYRILLIC = dict(
    zip("авекмнорстухіјѕԁһԛԝАВЕКМНОРСТУХІЈЅ", "abekmhopctyxijsdhqwABEKMHOPCTYXIJS", strict=True)
)
_GREEK = dict(zip("ανορυχικΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "avopuxikABEZHIKMNOPTYX", strict=True))
_DASHES = dict.fromkeys("‐‑‒–—−", "-")
LOOKALIKES = str.maketrans(_CYRILLIC | _GREEK | _DASHES)
_DIGITS = str.maketrans("OoIl", "0011")


def without_spaces(text: str) -> str:
    """The text without spaces and signs that nobody sees."""
    return "".join(
        sign for sign in text if not sign.isspace() and unicodedata.category(sign) != "Cf"
    )


def in_our_letters(text: str) -> str:
    """The text with letters of other scripts that look like Latin ones as those, and full-width
    signs as plain ones.

    >>> in_our_letters("С1") == "C1"
    True
    """
    return unicodedata.normalize("NFKC", text).translate(LOOKALIKES)


def _plain_signs(text: str) -> str:
    return "".join(sign for sign in text if sign.isalnum())


def _without_decimals(text: str) -> str:
    whole, point, rest = text.partition(".")
    return whole if point and rest and not rest.strip("0") else text


def _without_zeros(text: str) -> str:
    return re.sub(r"(?<!\d)0+(?=\d)", "", text)


# By the kind of difference, nearest first: what is left of an id once that difference is taken
# away.
FORMS: Mapping[str, Callable[[str], str]] = {
    "spaces": without_spaces,
    "decimals": _without_decimals,
    "zeros": _without_zeros,
    "capitals": str.casefold,
    "letters": in_our_letters,
    "O and 0": lambda text: text.translate(_DIGITS),
    "signs": _plain_signs,
}


def _all_forms(text: str) -> str:
    text = _without_zeros(text)  # before the signs between numbers go
    for plain in FORMS.values():
        text = plain(text)
    return text


def nearest(unknown: Iterable[str], known: Iterable[str]) -> dict[str, dict[str, str]]:
    """By the kind of difference ("zeros", "capitals", ..., "several"), unknown ids with the known
    one they stand for.

    An id is explained by the first difference that explains it; ids near nothing are under "".

    >>> nearest(["1", "C2", "x"], ["0001", "c2"])
    {'zeros': {'1': '0001'}, 'capitals': {'C2': 'c2'}, '': {'x': ''}}
    """
    left = list(dict.fromkeys(unknown))
    there = list(dict.fromkeys(known))
    explained: dict[str, dict[str, str]] = {}
    for kind, plain in [*FORMS.items(), ("several", _all_forms)]:
        theirs = {plain(text): text for text in reversed(there)}
        pairs = {text: theirs[plain(text)] for text in left if plain(text) in theirs}
        if pairs:
            explained[kind] = pairs
        left = [text for text in left if text not in pairs]
    nothing = {"": dict.fromkeys(left, "")} if left else {}
    return explained | nothing


def look_alike(ids: pd.Series) -> pd.Series:
    """Marks ids that differ from another one in capitals, spaces or letters of another script
    alone.
    """
    different = ids.dropna().unique()
    unique = pd.Series(different, dtype=object)
    plain = unique.map(lambda text: in_our_letters(without_spaces(str(text))).casefold())
    copies = unique[plain.duplicated(keep=False)]
    return ids.isin(set(copies)).astype(bool)
