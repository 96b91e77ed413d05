"""Contract terms as people write them, in months: "M2M", "rolling", "annual", "1 yr", "12-month contract"."""

from __future__ import annotations

import re

MONTHS = {
    "m2m": 1, "mtm": 1, "month to month": 1, "month by month": 1, "monthly": 1, "rolling": 1, "rolling monthly": 1,
    "monthly rolling": 1, "rolling month": 1, "month 2 month": 1, "no contract": 1, "no term": 1, "no commitment": 1,
    "open ended": 1, "at will": 1, "quarterly": 3, "half yearly": 6, "half year": 6, "semi annual": 6,
    "semi annually": 6, "semiannual": 6, "annual": 12, "annually": 12, "yearly": 12, "biennial": 24,
}  # fmt: skip
COUNTS = {
    word: number
    for number, words in enumerate("one a an|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve".split("|"), 1)
    for word in words.split()
} | {"eighteen": 18, "twenty four": 24, "thirty six": 36}
_UNITS = {1: "m|mo|mos|mon|mth|mths|month|months", 3: "q|qtr|qtrs|quarter|quarters", 12: "y|yr|yrs|year|years"}
_AROUND = re.compile(r"^(fixed|contract|term) |( (contract|term|agreement|plan|commitment|minimum|fixed|retainer))+$")


def spelled_months(text: str) -> str | None:
    """The months that a term in words stands for, as text; None where it is no term that is known for certain.

    "Biannual" is not known: it is used for twice a year and for every two years.

    >>> [spelled_months(text) for text in ("M2M", "1 yr", "12-month contract", "Two year", "biannual")]
    ['1', '12', '12', '24', None]
    """
    plain = re.sub(r"[\s\-_/]+", " ", text.casefold().strip(" .()"))
    plain = plain if plain in MONTHS else _AROUND.sub("", _AROUND.sub("", plain))
    if plain in MONTHS:
        return str(MONTHS[plain])
    for months, units in _UNITS.items():
        if found := re.fullmatch(rf"(\d+(?:[.,]5)?|{'|'.join(COUNTS)}) ?({units})\.?(?: fixed)?", plain):
            count = COUNTS.get(found[1]) or float(found[1].replace(",", "."))
            return str(int(count * months)) if float(count * months).is_integer() else None
    return None
