"""Sellers (A7): whose clients leave early, and is it more than chance?

Expected ends come from clients of the same term, size and month of service who were signed by
others, so that nobody is measured against itself. Source: METHODS 5.
"""

import math

import numpy as np
import pandas as pd

from retention.claims.registry import Studied, Ways, claim
from retention.contrast import Contrast
from retention.history.expected import EARLY, expected_ends
from retention.history.follow_up import follow_up
from retention.history.spells import AGENCY, CLIENT
from retention.numbers import Shown, between
from retention.results import Finding, Findings
from retention.stats.curves import MIN_AT_RISK, after, kaplan_meier, known_through
from retention.stats.funnel import funnel, median_rate_ratio
from retention.words import say

MIN_SELLERS, MIN_EARLY = 8, 15  # METHODS 1: sellers with so many expected early ends each
MIN_LATER = 5  # (ours) expected later ends from which their ratio is shown
BY_CHANCE = 1 / 20  # share of people alike who are unusual by chance alone
AS_PLANNED = say("claims.way.as_planned")
UNKNOWN_IS_AGENCY = say("sellers.way.unknown_is_agency")
CLIENTS = say("sellers.group.clients")
EARLY_ENDS = say("sellers.funnel.early_ends")
SELLER = say("sellers.funnel.seller")


@claim("A7")
def sellers_differ(study: Studied) -> Ways:
    """Early leaving between sellers (A7)."""
    spells = study.spells
    planned = seller_sensitivities(spells)
    return Ways(seller_spread(spells), planned, missing=missing_sellers(spells))


def seller_spread(
    spells: pd.DataFrame, *, unknown: str = CLIENT, size: bool = True, name: str = AS_PLANNED
) -> Contrast:
    """Log median rate ratio between sellers' early leaving, from observed over expected ends
    (A7).
    """
    # From all clients: with each measured by the others, one who differs would push all the rest
    # the other way.
    ends = expected_ends(spells, "seller_id", unknown=unknown, size=size, by_others=False)
    clients = int(ends["clients"].sum())
    observed = int(ends["observed"].sum())
    counts: dict[str, int] = {CLIENTS: observed}
    known_enough = ends["expected"] >= MIN_EARLY
    enough = int(known_enough.sum())
    lacking = () if enough >= MIN_SELLERS else lacking_words(enough, len(ends), _ends_short(ends))
    if len(ends) < 2:
        return Contrast(name, math.nan, math.nan, clients, counts, lacking)
    theta, se, interval = median_rate_ratio(ends["observed"], ends["expected"])
    return Contrast(name, theta, se, clients, counts, lacking, (), interval)


def _ends_short(ends: pd.DataFrame) -> float:
    """Expected early ends that the largest sellers lack for a comparison."""
    largest = ends["expected"].astype(float).nlargest(MIN_SELLERS)
    counted = largest.clip(upper=MIN_EARLY)
    return float(MIN_SELLERS * MIN_EARLY - counted.sum())


def lacking_words(enough: int, sellers: int, ends: float) -> tuple[str, ...]:
    """Why `sellers` cannot be compared, of whom `enough` have expected ends enough: `ends` are
    lacking.
    """
    if enough:
        have = say("sellers.lacking.some_enough", sellers=enough, least=MIN_EARLY)
    else:
        have = say("sellers.lacking.none_enough", least=MIN_EARLY)
    more = MIN_SELLERS - sellers
    if more > 0:
        need = say("sellers.lacking.ends_and_sellers", needed=MIN_SELLERS, ends=ends, more=more)
    else:
        need = say("sellers.lacking.ends", needed=MIN_SELLERS, ends=ends)
    return have, need


def seller_sensitivities(spells: pd.DataFrame) -> list[Contrast]:
    """The pre-listed other ways to compute the spread between sellers (plan.toml, A7)."""
    return [
        seller_spread(spells, unknown=AGENCY, name=UNKNOWN_IS_AGENCY),
        seller_spread(spells, size=False, name=say("sellers.way.not_size")),
    ]


def sellers(spells: pd.DataFrame) -> pd.DataFrame:
    """Each seller's funnel row (early ends), with deals a month, later ends over expected, and the
    share gone early.

    Deals a month run from the first to the last signing on record; the share gone by month six is
    Kaplan-Meier's, whatever ended it, so that clients signed lately do not count as retained.
    """
    early = expected_ends(spells, "seller_id")
    if early.empty:
        return early
    table = funnel(early["observed"], early["expected"])
    late = expected_ends(spells, "seller_id", early=False)
    ratio = late["observed"] / late["expected"]
    table["later"] = ratio.where(late["expected"] >= MIN_LATER)
    new = spells[spells["entry_months"] == 0]
    deals = new.groupby("seller_id")["start_date"]
    signed = deals.agg(["size", "min", "max"])
    days = signed["max"] - signed["min"]
    months = days.dt.days / 30.4375
    table["signed"] = signed["size"]
    rate = signed["size"] / months.clip(lower=1)
    table["deals"] = rate.round(2)
    table["gone"] = _gone_early(spells, table.index)
    return table


def _gone_early(spells: pd.DataFrame, people: pd.Index) -> pd.Series:
    """The share of each seller's clients gone by month six; not known where all signed lately."""
    outcome = follow_up(spells)
    gone = {}
    for who in people:
        own = (spells["seller_id"] == who).fillna(False)
        part = outcome.where(own.to_numpy())
        if known_through(part, MIN_AT_RISK) >= EARLY:
            curve = after(kaplan_meier(part), EARLY)
            gone[who] = 1 - curve["survival"]
    return pd.Series(gone, dtype=float)


def readings(table: pd.DataFrame) -> np.ndarray:
    """What each row says, as an id: few, beyond, unusual or within (chance); shape (n,)."""
    kinds = ["few", "beyond", "unusual"]
    return np.select([table[kind] for kind in kinds], kinds, "within")


def seller_list(table: pd.DataFrame) -> pd.DataFrame:
    """The sellers' table as readers see it; whoever has too few expected ends is not ranked."""
    if table.empty:
        return pd.DataFrame()
    spans = [Shown(between(row.low, row.high, "ratio"), row.ratio) for row in table.itertuples()]
    return pd.DataFrame(
        {
            "seller": table.index,
            "clients_signed": table["signed"],
            "deals_a_month": table["deals"],
            "gone_by_month_six": table["gone"],
            "ends_early": table["observed"],
            "expected": table["expected"],
            "over_expected": table["ratio"],
            "interval": spans,
            "allowing_for_chance": table["shrunk"],
            "later_over_expected": table["later"],
            "reading": [say(f"sellers.reading.{kind}") for kind in readings(table)],
        }
    )


def seller_words(table: pd.DataFrame) -> Findings:
    """The sellers in sentences: who differs by more than chance, who may, and how many could be
    compared.
    """
    if table.empty:
        finding = Finding("A7", say("sellers.answer.too_few"))
        return Findings((finding,))
    compared = ~table["few"]
    ranked = int(compared.sum())
    if not ranked:
        text = say("sellers.answer.none_compared", sellers=len(table))
        return Findings((Finding("A7", text),))
    kinds = readings(table)
    beyond = table[kinds == "beyond"]
    unusual = table.index[kinds == "unusual"]
    sentences = [_beyond_words(beyond)]
    if len(unusual):
        names = ", ".join(map(str, unusual))
        chance = ranked * BY_CHANCE
        look = say("sellers.answer.look", names=names, compared=ranked, chance=chance)
        sentences.append(look)
    sentences.append(say("sellers.answer.compared", compared=ranked, sellers=len(table)))
    return Findings(tuple(Finding("A7", sentence) for sentence in sentences))


def _beyond_words(beyond: pd.DataFrame) -> str:
    if beyond.empty:
        return say("sellers.answer.within")
    each = [say("sellers.answer.ratio", who=who, ratio=row.ratio) for who, row in beyond.iterrows()]
    return say("sellers.answer.beyond", names=", ".join(each))


def missing_sellers(spells: pd.DataFrame) -> list[str]:
    """What the comparison of sellers lacks."""
    known = "seller_id" in spells and spells["seller_id"].notna().any()
    return [] if known else [say("sellers.needs.seller")]


def expected_range(table: pd.DataFrame) -> np.ndarray:
    """Expected ends from 1 to a little above the largest, for the limits of the funnel."""
    furthest = 1.1 * float(table["expected"].max()) + 1 if len(table) else 10
    return np.linspace(1, furthest, 100)


def funnel_words(table: pd.DataFrame, what: str = EARLY_ENDS, whom: str = SELLER) -> str:
    """The funnel in words, for those who cannot see it."""
    people = [
        say("sellers.funnel.person", who=who, ratio=row.ratio, expected=row.expected)
        for who, row in table.iterrows()
    ]
    if not people:
        return say("sellers.funnel.nothing", what=what, whom=whom)
    listed = "; ".join(people)
    return say("sellers.funnel.alt", what=what, whom=whom, people=listed)
