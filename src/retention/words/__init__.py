"""Every phrase and sentence that readers meet, by id: a file a page, and `glossary.toml` for the
field's terms.

Code computes ids and numbers and asks for the words here; no decision looks at them. An id is the
file, the section and the name of a text, such as `sellers.funnel.caption`.
"""

from __future__ import annotations

import re
import string
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Self

_NOT_ZERO = re.compile("[1-9]")


class Said(str):
    """A text that knows its id (`key`), so that no decision depends on how it is worded, and with
    what it was filled in (`fields`).
    """

    key: str
    fields: Mapping[str, Any]

    def __new__(cls, text: str, key: str = "", fields: Mapping[str, Any] | None = None) -> Self:
        """The text, with its id."""
        made = super().__new__(cls, text)
        made.key = key
        made.fields = fields or {}
        return made


class _Words(string.Formatter):
    """Python's format fields, and one more: `{n:client|clients}` is the first word where n is 1,
    else the second.
    """

    def format_field(self, value: Any, format_spec: str) -> Any:
        if "|" in format_spec:
            one, more = format_spec.split("|")
            return one if value == 1 else more
        text = super().format_field(value, format_spec)
        return no_minus_zero(text) if isinstance(value, float) else text


def no_minus_zero(text: str) -> str:
    """A number in words, without a minus where it is rounded to zero.

    >>> no_minus_zero("-0.00"), no_minus_zero("-0.01")
    ('0.00', '-0.01')
    """
    return text if _NOT_ZERO.search(text) else text.removeprefix("-")


_FORMATTER = _Words()


@cache
def texts() -> Mapping[str, str]:
    """Every text by its id, from all files of this folder."""
    found: dict[str, str] = {}
    for file in files("retention.words").iterdir():
        if file.name.endswith(".toml") and file.name != "glossary.toml":
            found |= _flat(tomllib.loads(file.read_text("utf-8")), file.name.removesuffix(".toml"))
    return found


def say(key: str, /, **fields: Any) -> Said:
    """The text of this id with its fields filled in. KeyError where there is no such text or field.

    The id of the result is that of the text, with the values of its fields behind it (of a field
    that is itself a text from here, its id): `sellers.gone_by:6`. That is the identity of an
    estimate by which runs are compared.

    >>> say("claims.why.beyond", smallest=1.25)
    'The whole interval lies beyond 1.25, the smallest effect worth acting on.'
    """
    if key not in texts():
        raise KeyError(f"no text is called {key!r}")
    values = ",".join(key_of(v) if isinstance(v, str) else str(v) for v in fields.values())
    text = _FORMATTER.vformat(texts()[key], (), fields)
    return Said(text, f"{key}:{values}" if values else key, fields)


def in_short(text: str) -> str:
    """The same in a few words, where short.toml has them for the text's id; else empty.

    >>> in_short(say("claims.why.beyond", smallest=1.25)), in_short("a name")
    ('', '')
    """
    known = text if isinstance(text, Said) else Said("")
    key = "short." + known.key.partition(":")[0]
    can = key in texts() and set(fields_of(texts()[key])) <= set(known.fields)
    return say(key, **known.fields) if can else ""


def together(first: str, *more: str) -> Said:
    """Several texts as one, under the id of the first; empty ones leave nothing behind.

    >>> together(say("claims.checks.planned"), "", "and so on").key
    'claims.checks.planned'
    """
    fields = first.fields if isinstance(first, Said) else {}
    return Said(" ".join(filter(None, (first, *more))), key_of(first), fields)


@cache
def terms() -> Mapping[str, str]:
    """The field's terms and what each means in plain words, from glossary.toml, by name."""
    glossary = files("retention.words").joinpath("glossary.toml").read_text("utf-8")
    found: dict[str, str] = tomllib.loads(glossary)["terms"]
    return dict(sorted(found.items(), key=lambda term: term[0].lower()))


def key_of(text: str) -> str:
    """The id of a text from `say`; any other text (a name in the data) stands for itself."""
    return text.key if isinstance(text, Said) else text


def heading(column: str) -> str:
    """The heading of a column by the column's id, from columns.toml; of the user's own columns
    their name.
    """
    return texts().get(f"columns.{column}", column[:1].upper() + column[1:].replace("_", " "))


def fields_of(text: str) -> list[str]:
    """The names of the fields of a text, each once.

    >>> fields_of("{n:,} {n:client|clients} of {of}")
    ['n', 'of']
    """
    return list(dict.fromkeys(name for _, name, _, _ in _FORMATTER.parse(text) if name))


def _flat(table: Mapping[str, Any], prefix: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in table.items():
        key = f"{prefix}.{name}"
        found |= _flat(value, key) if isinstance(value, Mapping) else {key: value}
    return found
