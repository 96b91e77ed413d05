"""Contract terms as people write them, in months: "M2M", "rolling", "annual", "1 yr", "12-month
contract".
"""

import re

from retention.data.words import WORDS

_TERMS = WORDS["terms"]
_MONTHS = {word: months for months, words in _TERMS["months"].items() for word in words}


def spelled_months(text: str) -> str | None:
    """The months that a term in words stands for, as text; None where it is no term that is known
    for certain.

    "Biannual" is not known: it is used for twice a year and for every two years.

    >>> texts = ("M2M", "1 yr", "12-month contract", "Two year", "biannual")
    >>> [spelled_months(text) for text in texts]
    ['1', '12', '12', '24', None]
    """
    folded = text.casefold().strip(" .()")
    plain = re.sub(r"[\s\-_/]+", " ", folded)
    if plain not in _MONTHS:
        without = re.sub(_TERMS["around"], "", plain)
        plain = re.sub(_TERMS["around"], "", without)
    for months, units in _TERMS["units"].items():
        if found := re.fullmatch(
            rf"(\d+(?:[.,]5)?|{'|'.join(_TERMS['counts'])}) ?({units})\.?(?: fixed)?", plain
        ):
            count = int(months) * (
                _TERMS["counts"].get(found[1]) or float(found[1].replace(",", "."))
            )
            return str(int(count)) if float(count).is_integer() else None
    return _MONTHS.get(plain)
