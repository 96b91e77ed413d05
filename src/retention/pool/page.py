"""The page of what several agencies say together, and pooled.json (METHODS 13)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from retention.contrast import Z95
from retention.numbers import between, quantity, with_interval
from retention.pool.judged import Beside, Over, beside, over_all, payload
from retention.pool.sift import Agency, Apart, read_all, refuse_none, sifted
from retention.results import MARKS, NOT_ENOUGH, Listing, badge, to_json, verdict_class
from retention.show.forest import AGENCY, MEAN, NEXT, plot_forest, plot_funnel_of_studies
from retention.show.picture import Picture
from retention.show.templating import write
from retention.words import Said, say, together

SCHEMA = 1
FILE = "pooled.json"


def write_pool(paths: Sequence[Path], out: Path) -> Path:
    """Put the agencies of these files together, and write the page and pooled.json into a folder;
    the page's path.

    ConfigError where a file cannot be read, or where no two agencies are comparable.
    """
    agencies, apart = sifted(read_all(paths))
    refuse_none(agencies)
    every = over_all(agencies)
    claims = [each for each in every if each.rows]
    refuse_none([agency for each in claims for agency, _ in each.rows])
    others = beside(agencies)
    out.mkdir(parents=True, exist_ok=True)
    (out / FILE).write_text(to_json(contents(agencies, claims)), "utf-8")
    first = spoken_for(claims)
    head = {"title": title(first, len(agencies)), "evidence": evidence(first), "first": first}
    write(
        out,
        "pool.html.j2",
        head=head,
        badge_of=badge_of,
        claims=[section(each) for each in claims],
        about=about(agencies),
        apart=listing_of_apart(apart),
        beside=listing_of_beside(others),
        lacking=_html(listing_of_lacking([each for each in every if not each.rows])),
        agencies=len(agencies),
        file=FILE,
    )
    return out / "index.html"


def contents(agencies: Sequence[Agency], claims: Sequence[Over]) -> dict[str, Any]:
    """What stands in pooled.json: no agency by name, and no agency's own figures."""
    until = sorted(agency.shared.until for agency in agencies)
    return {
        "schema": SCHEMA,
        "agencies": sorted(agency.shared.agency for agency in agencies),
        "from": until[0],
        "until": until[-1],
        "claims": [payload(each) for each in claims],
    }


def spoken_for(claims: Sequence[Over]) -> Over:
    """The claim that speaks for the page: the first that could be judged."""
    return next((each for each in claims if each.average.verdict != NOT_ENOUGH), claims[0])


def title(first: Over, agencies: int) -> str:
    """The title of the page: the answer of its first claim, over so many agencies."""
    if first.pooled is None:
        return say("pool.page.described", n=agencies)
    return say("pool.page.title", answer=first.average.answer, n=len(first.rows))


def evidence(each: Over) -> str:
    """The line under the title of a claim."""
    if each.pooled is None:
        return each.average.why
    claim = each.claim
    low, high = each.next_one(claim.level)
    parts = [
        say("report.head.interval", level=100 * claim.level, interval=_interval(each)),
        say("pool.page.next", interval=between(low, high, claim.scale)),
    ]
    if claim.published:
        parts.append(say("report.head.published", published=claim.published))
    parts.append(say("pool.page.counts", n=len(each.rows), clients=each.clients, ends=each.ends))
    return " · ".join(parts)


def _interval(each: Over) -> str:
    return between(each.average.low, each.average.high, each.claim.scale)


def badge_of(each: Over) -> tuple[str, str]:
    """The verdict in words with its mark, and its style class."""
    verdict = each.average
    words = badge(verdict.verdict, verdict.fragile)
    return f"{MARKS[verdict.verdict]} {words}", verdict_class(verdict.verdict, verdict.fragile)


@dataclass(frozen=True)
class Section:
    """A claim as the page shows it: its words, and HTML of pictures and tables (empty: none)."""

    over: Over
    answer: str
    evidence: str
    lines: tuple[str, ...]
    forest: Markup
    funnel: Markup
    groups: Markup
    apart: Markup


def section(each: Over) -> Section:
    """The words, pictures and tables of a claim."""
    return Section(
        each,
        each.average.answer if each.pooled else each.claim.question,
        evidence(each),
        tuple(sentences(each)),
        _html(forest(each)),
        _html(funnel(each)),
        _html(listing_of_groups(each)),
        _html(listing_of_apart(each.apart)),
    )


def _html(shown: Any) -> Markup:
    """What a picture or table shows; empty where there is none."""
    return Markup("" if shown is None else shown._repr_mimebundle_()["text/html"])


def sentences(each: Over) -> Iterator[str]:
    """What is said of a claim beside its figures."""
    if each.pooled is None:
        yield say("pool.page.only_described")
        return
    pooled, verdict = each.pooled, each.average
    yield say("pool.page.average", verdict=badge(verdict.verdict, verdict.fragile), why=verdict.why)
    yield say("pool.page.ahead", verdict=each.ahead.verdict, why=each.ahead.why)
    low, high = pooled.tau_interval()
    spread = {"tau": pooled.tau, "low": low, "high": high, "share": pooled.i2}
    yield say("pool.page.spread", **spread)
    yield _left_out_words(each)
    chance = each.small_studies
    if math.isfinite(chance):
        yield say("pool.page.small" if chance < 0.1 else "pool.page.not_small", p=chance)
    yield say("pool.page.noise")


def _left_out_words(each: Over) -> Said:
    """What leaving one agency out after the other does."""
    means = {name: each.claim.shown(pooled.mean) for name, pooled in each.without.items()}
    lowest, highest = min(means.values()), max(means.values())
    scale = each.claim.scale
    limits = {"low": quantity(lowest, scale), "high": quantity(highest, scale)}
    of = each.average.checks[0] if each.average.checks else None
    flips = of.disagree if of else 0
    return say("pool.page.left_out", flips=flips, n=len(means), **limits)


def rows_of(each: Over) -> pd.DataFrame:
    """The rows of the forest plot: agencies by estimate, then all of them, then the next one."""
    shown = each.claim.shown
    weights = each.pooled.weights if each.pooled else [1 / len(each.rows)] * len(each.rows)
    rows = []
    for (agency, row), weight in zip(each.rows, weights, strict=True):
        theta, se = row.theta or 0.0, row.se or math.nan
        limits = [shown(theta + side * Z95 * se) for side in (-1, 1)]
        rows.append((agency.name, AGENCY, shown(theta), *limits, weight, row.clients))
    rows.sort(key=lambda row: row[2], reverse=True)
    if each.pooled:
        low, high = map(shown, each.pooled.interval())
        middle = shown(each.pooled.mean)
        rows.append((say("pool.row.mean"), MEAN, middle, low, high, 1.0, each.clients))
        low, high = each.next_one()
        rows.append((say("pool.row.next"), NEXT, middle, low, high, 1.0, each.clients))
    columns = ["name", "kind", "estimate", "low", "high", "weight", "clients"]
    return pd.DataFrame(rows, columns=columns)


def forest(each: Over) -> Picture:
    """Every agency's estimate with its interval, what they say together, and the study's figure."""
    rows = rows_of(each)
    claim = each.claim
    ratio = claim.scale == "ratio"
    ax = plot_forest(rows, 1.0 if ratio else 0.0, claim.published, ratio=ratio)
    own = rows[rows["kind"] == AGENCY]
    least, most = (quantity(value, claim.scale) for value in own["estimate"].iloc[[-1, 0]])
    key = "pool.forest.alt_with_mean" if each.pooled else "pool.forest.alt"
    alt = say(key, n=len(own), low=least, high=most)
    drawn = say("pool.forest.caption" if each.pooled else "pool.forest.each")
    study = say("pool.forest.published", published=claim.published) if claim.published else ""
    told = say("pool.forest.title", n=len(own), low=least, high=most)
    data = rows.drop(columns=["kind", "clients"])
    return Picture(ax, alt, together(drawn, study), told, data)


def funnel(each: Over) -> Picture | None:
    """Each agency's estimate against how sure it is; None where nothing is pooled."""
    if each.pooled is None:
        return None
    studies = each.pooled.studies
    frame = pd.DataFrame({"theta": studies.y, "se": studies.se})
    x = say("pool.funnel.log" if each.claim.scale == "ratio" else "pool.funnel.plain")
    ax = plot_funnel_of_studies(frame, each.pooled.mean, x=x, y=say("pool.funnel.se"))
    outside = int((abs(studies.y - each.pooled.mean) > Z95 * studies.se).sum())
    alt = say("pool.funnel.alt", n=len(frame), outside=outside)
    return Picture(ax, alt, say("pool.funnel.caption"), data=frame)


def listing_of_groups(each: Over) -> Listing | None:
    """What groups of agencies say, where there are some to set beside each other."""
    if not each.groups:
        return None
    rows = []
    for group in each.groups:
        told = say("pool.group.described")
        if group.pooled:
            values = [each.claim.shown(x) for x in (group.pooled.mean, *group.pooled.interval())]
            told = with_interval(values[0], values[1], values[2], each.claim.scale)
        rows.append((group.name, len(group.rows), told))
    frame = pd.DataFrame(rows, columns=["pool_group", "agencies", "estimate"])
    return Listing(frame, say("pool.group.caption"))


def listing_of_apart(apart: Sequence[Apart]) -> Listing | None:
    """The agencies set apart, with why; None where there are none."""
    if not apart:
        return None
    rows = [(each.agency.name, each.why) for each in apart]
    frame = pd.DataFrame(rows, columns=["agency", "set_apart"])
    return Listing(frame, say("pool.apart.caption", n=len(rows)))


def listing_of_lacking(claims: Sequence[Over]) -> Listing | None:
    """The claims that no agency could be set beside others for, with the usual reason; None where
    there are none.
    """
    if not claims:
        return None
    rows = []
    for each in claims:
        reasons = Counter(apart.why for apart in each.apart)
        why, _ = reasons.most_common(1)[0]
        rows.append((each.claim.question, why))
    frame = pd.DataFrame(rows, columns=["claim", "set_apart"])
    return Listing(frame, say("pool.lacking.caption"))


def listing_of_beside(others: Sequence[Beside]) -> Markup:
    """Shares over all agencies."""
    if not others:
        return Markup("")
    rows = []
    for each in others:
        value, low, high = each.values
        ahead = between(each.next_one[0], each.next_one[1], "share")
        told = with_interval(value, low, high, "share")
        rows.append((say(f"pool.beside.{each.name}"), each.agencies, told, ahead))
    frame = pd.DataFrame(rows, columns=["quantity", "agencies", "estimate", "next_agency"])
    return _html(Listing(frame, say("pool.beside.caption")))


def about(agencies: Sequence[Agency]) -> Markup:
    """The agencies as far as they are told: size, terms, months, how far they go."""
    rows = []
    for agency in agencies:
        shared = agency.shared
        contracts = say("pool.about.yes") if shared.contracts else say("pool.about.no")
        share = math.nan if shared.fixed_share is None else shared.fixed_share
        rows.append((agency.name, shared.size, share, contracts, shared.months, shared.until))
    columns = ["agency", "agency_size", "fixed_share", "contracts", "months", "until"]
    frame = pd.DataFrame(rows, columns=columns)
    return _html(Listing(frame, say("pool.about.caption"), {"fixed_share": ".0%"}))
