"""Names that join to no client, and clients without rows: a CSV file that a person confirms.

A row is a name that no client bears (`what` says so), or a client who has no rows in some tables,
each with the nearest on the other side. `confirmed` is for a person: yes (the name is that
client_id), or no (it is none of the clients).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from rapidfuzz import fuzz, process, utils
from rapidfuzz.distance import OSA

from retention.data.cells import CELLS, texts
from retention.data.delimited import NotATableError, delimited
from retention.data.schema import without_mark, write_csv
from retention.data.words import WORDS, fault, sentence
from retention.errors import SHOWN, ConfigError
from retention.settings import Settings, TableSettings

NEAR = 80  # (ours) of 100: how alike two names must be for one to be shown beside the other
SUBSET = 0.9  # (ours) what it counts that all words of one name stand in the other
SHORTER = 95  # (ours) what it counts that two names agree but for words such as Group
FILE = "crosswalk.csv"
STRANGER = "name without a client"
IDLE = "client without rows"
COLUMNS = ["what", "name", "tables", "rows", "client_id", "client", "alike", "confirmed"]
_SPELT = OSA.normalized_similarity  # 1 less letters that differ, lack or have changed places
_NAMES = WORDS["names"]
YES, NO, OPEN = "yes", "no", "open"
_ANSWERS = {"": OPEN} | dict.fromkeys(CELLS["true"], YES) | dict.fromkeys(CELLS["false"], NO)


@dataclass(frozen=True)
class Crosswalk:
    """What a person has said: the clients of names; and of the names that are nearly a client's,
    those that still wait, with what to ask of each.
    """

    name: str = FILE
    clients: Mapping[str, str] = field(default_factory=dict)
    open: Mapping[str, str] = field(default_factory=dict)

    def question(self, names: list[str]) -> str:
        """What is asked of these names, in one text."""
        count = f"{len(names):,}"
        lines = [sentence("crosswalk open", file=self.name, count=count)]
        for name in names[:SHOWN]:
            lines.append(f"  {self.open[name]}")
        if len(names) > SHOWN:
            lines.append("  ...")
        return "\n".join(lines)

    def refuse_unknown(self, clients: Callable[[], Iterable[str]]) -> None:
        """ConfigError where a name was given to a client who is not among these."""
        if not self.clients:
            return
        known = set(clients())
        unknown = [client for client in self.clients.values() if client not in known]
        if unknown:
            names = _shown(unknown)
            raise ConfigError(sentence("crosswalk unknown", file=self.name, names=names))


def _shown(names: Iterable[str]) -> str:
    """The first of the names, each in quotes."""
    different = list(dict.fromkeys(names))
    quoted = map(repr, different[:SHOWN])
    return ", ".join(quoted)


def plain_words(name: str) -> str:
    """A name as it is compared: without case, signs and legal form; of an address its domain.

    >>> plain_words("Willow Plumbing, LLC"), plain_words("ann@willow-plumbing.com")
    ('willow plumbing', 'willow plumbing')
    """
    domain = re.search(r"@([^.@]+)[.]", name)
    told = utils.default_process(domain[1] if domain else name)
    return _without(told, _NAMES["around"])


def nearest(names: list[str], others: list[str]) -> dict[str, tuple[str, int]]:
    """By name the most alike of the others, with how alike it is of 100; names near nothing are not
    there.

    A name all of whose words stand in the other is nearly it; addresses run words together.
    """
    plain = {other: plain_words(other) for other in others}
    short = {other: _without(words, _NAMES["short"]) for other, words in plain.items()}
    together = {other: words.replace(" ", "") for other, words in plain.items()}
    found = {}
    for name in names:
        words = plain_words(name)
        core = _without(words, _NAMES["short"])
        joined = words.replace(" ", "")
        near = [
            _best(words, plain, fuzz.token_set_ratio, SUBSET),
            _best(words, plain, _SPELT, 100),
            _best(core, short, _SPELT, SHORTER),
            _best(joined, together, _SPELT, 100),
        ]
        best = max(near, key=lambda pair: pair[1])
        if best[1]:
            found[name] = best
    return found


def _without(words: str, others: Iterable[str]) -> str:
    """The words without these others; all of them, where nothing would be left."""
    kept = [word for word in words.split() if word not in others]
    return " ".join(kept) or words


def _best(words: str, others: dict[str, str], scorer: Any, weight: float) -> tuple[str, int]:
    """The most alike of the others by this measure, times its weight; 0 where none is near."""
    least = NEAR / weight
    best = process.extractOne(words, others, scorer=scorer, score_cutoff=least)
    if best is None:
        return "", 0
    score = best[1] * weight
    return str(best[2]), round(score)


def unmatched(clients: pd.DataFrame, tables: Mapping[str, Mapping[str, int]]) -> pd.DataFrame:
    """Both sides of what does not join, with the nearest of the other: COLUMNS, most rows first.

    `clients` has client_id and may have name; `tables` the rows by client of each table, as its
    file names them.
    """
    names = _named(clients)
    series = {table: pd.Series(counts) for table, counts in tables.items()}
    rows = pd.DataFrame(series)
    known = rows.index.isin(list(names))
    strange = rows[~known]
    sums = strange.sum(axis=1)
    by_count = sums.sort_values(ascending=False, kind="stable")
    in_order = strange.loc[by_count.index]
    told = [*_strangers(names, in_order), *_idle(names, rows, in_order)]
    listed = pd.DataFrame(told, columns=COLUMNS)
    return listed.astype("string").fillna("")


def _named(clients: pd.DataFrame) -> dict[str, str]:
    """The clients' names by id, the id where there is none."""
    ids = texts(clients["client_id"])
    names = texts(clients["name"]) if "name" in clients else ids
    filled = names.where(names != "", ids)
    by_id = filled.set_axis(ids)
    return by_id.drop("", errors="ignore").to_dict()


def _strangers(names: dict[str, str], strange: pd.DataFrame) -> Iterator[list[object]]:
    """A row of each name that no client bears, with the nearest client."""
    by_name = {name: client for client, name in reversed(names.items())}
    likes = nearest(list(strange.index), list(by_name))
    for name, counts in strange.iterrows():
        there = counts.dropna()
        client, score = likes.get(str(name), ("", ""))
        client_id = by_name.get(client, "")
        tables = ", ".join(there.index)
        rows = int(there.sum())
        yield [STRANGER, name, tables, rows, client_id, client, score, ""]


def _idle(
    names: dict[str, str], rows: pd.DataFrame, strange: pd.DataFrame
) -> Iterator[list[object]]:
    """Clients who lack rows in a table in which strangers have some, with the nearest stranger."""
    asked = strange.dropna(axis="columns", how="all").columns
    of_clients = rows.reindex(list(names))
    lacks = of_clients[asked].isna()
    lacking = lacks[lacks.any(axis=1)]
    wanted = [names[client] for client in lacking.index]
    likes = nearest(wanted, list(strange.index))
    for client, lacked in lacking.iterrows():
        name = names[str(client)]
        near, score = likes.get(name, ("", ""))
        tables = ", ".join(lacked.index[lacked])
        yield [IDLE, near, tables, 0, client, name, score, ""]


def updated(path: Path, fresh: pd.DataFrame) -> int:
    """Write the file anew: what a person has filled in stays, and names that are new are added. How
    many names are new comes back.
    """
    old = _read(path) if path.is_file() else fresh.iloc[:0]
    answered = old[old["confirmed"] != ""]
    kept = _keys(answered)
    again = _keys(fresh).isin(kept)
    new = fresh[~again]
    whole = pd.concat([answered, new], ignore_index=True)
    write_csv(whole, path)
    strange = new.loc[new["what"] == STRANGER, "name"]
    unheard = ~strange.isin(old["name"])
    return int(unheard.sum())


def _keys(rows: pd.DataFrame) -> pd.Series:
    """What a row is about: the name that no client bears, or the client without rows."""
    about = rows["name"].where(rows["what"] == STRANGER, rows["client_id"])
    return rows["what"] + ": " + about


def crosswalk_of(settings: Settings) -> Crosswalk:
    """What the crosswalk file of the settings says; nothing where none is named.

    ConfigError where it is not there, lacks a column, says neither yes nor no, or gives one name to
    two clients.
    """
    if not settings.source.crosswalk:
        return Crosswalk()
    path = settings.base / settings.source.crosswalk
    if not path.is_file():
        raise ConfigError(sentence("crosswalk absent", file=settings.source.crosswalk))
    rows = _read(path)
    said = rows["confirmed"].str.casefold()
    meant = said.map(_ANSWERS)
    odd = rows[meant.isna()]
    if len(odd):
        words = _shown(odd["confirmed"])
        raise ConfigError(sentence("crosswalk word", file=path.name, words=words))
    yes = rows[meant == YES]
    _refuse_halves(path.name, yes)
    strange = rows["what"] != IDLE
    no = strange & (meant == NO)
    answered = rows.loc[no, "name"]
    settled = rows["name"].isin([*yes["name"], *answered])
    near = rows["client_id"] != ""
    waits = rows[strange & near & ~settled]
    by_name = yes.set_index("name")["client_id"]
    return Crosswalk(path.name, by_name.to_dict(), dict(_asked(waits)))


def _refuse_halves(file: str, yes: pd.DataFrame) -> None:
    """ConfigError where a confirmed row lacks its name or client, or a name has two clients."""
    lacks = (yes["name"] == "") | (yes["client_id"] == "")
    half = yes[lacks]
    if len(half):
        names = _shown(half["name"] + half["client_id"])
        raise ConfigError(sentence("crosswalk half", file=file, names=names))
    pairs = yes[["name", "client_id"]].drop_duplicates()
    twice = pairs[pairs["name"].duplicated()]
    if len(twice):
        names = _shown(twice["name"])
        raise ConfigError(sentence("crosswalk twice", file=file, names=names))


def _asked(waits: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """By name, a line on who it may be."""
    for row in waits.itertuples(index=False):
        many = "" if row.rows == "1" else "s"
        near = f"nearly {row.client!r} ({row.client_id})"
        yield str(row.name), f"{row.name!r}, {row.rows} row{many} in {row.tables}: {near}"


def _read(path: Path) -> pd.DataFrame:
    """The rows of a crosswalk file, all text; ConfigError where it is none."""
    try:
        pieces = list(delimited(path, ""))
    except NotATableError as no:
        about = fault("clients", "", no.kind, **no.said)
        raise ConfigError(sentence("crosswalk file", file=path.name, error=about.problem)) from None
    rows = pd.concat(pieces, ignore_index=True)
    lacking = [name for name in COLUMNS if name not in rows]
    if lacking:
        names = ", ".join(lacking)
        raise ConfigError(sentence("crosswalk file", file=path.name, error=f"it lacks {names}"))
    told = rows[COLUMNS].apply(texts)
    return told.apply(without_mark)


def with_names(how: TableSettings, clients: Mapping[str, str]) -> TableSettings:
    """The settings of a table with the confirmed names among the values of client_id; what they say
    of a name themselves holds.
    """
    own = how.values.get("client_id", {})
    spoken = {word.strip().casefold() for word in own}
    more = {name: who for name, who in clients.items() if name.casefold() not in spoken}
    if not more:
        return how
    values = how.values | {"client_id": {**more, **own}}
    return how.model_copy(update={"values": values})


def digest_with(digest: str, crosswalk: Crosswalk) -> str:
    """The fingerprint of a table whose rows this crosswalk joins."""
    if not crosswalk.clients:
        return digest
    whole = hashlib.sha256(digest.encode())
    for name, client in sorted(crosswalk.clients.items()):
        whole.update(f"\n{name!r} {client!r}".encode())
    return whole.hexdigest()
