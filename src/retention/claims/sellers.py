"""Sellers and what they promise (A7, A8): whose clients leave early, and is it more than luck?

Expected ends come from clients of the same term, size and month of service who were signed by
others, so that nobody is measured against itself. Source: METHODS 5.
"""

import math

import numpy as np
import pandas as pd

from retention.history.expected import EARLY, expected_ends
from retention.history.follow_up import follow_up
from retention.history.spells import AGENCY, CLIENT
from retention.results import Contrast, Finding
from retention.stats.curves import MIN_AT_RISK, after, kaplan_meier, known_through
from retention.stats.funnel import funnel, median_rate_ratio

MIN_SELLERS, MIN_EARLY = 8, 15  # METHODS 1: sellers with so many expected early ends each


def seller_spread(
    spells: pd.DataFrame, *, unknown: str = CLIENT, size: bool = True, name: str = "as planned"
) -> Contrast:
    """Log median rate ratio between sellers' early leaving, from observed over expected ends
    (A7).
    """
    # From all clients: with each measured by the others, one who differs would push all the rest
    # the other way.
    ends = expected_ends(spells, "seller_id", unknown=unknown, size=size, by_others=False)
    enough = int((ends["expected"] >= MIN_EARLY).sum())
    most = ends["expected"].astype(float).nlargest(MIN_SELLERS).clip(upper=MIN_EARLY).sum()
    others = f", and {MIN_SELLERS - len(ends)} more to compare" if len(ends) < MIN_SELLERS else ""
    few = (
        f"{enough or 'No'} seller{' has' if enough < 2 else 's have'} {MIN_EARLY} or more "
        "expected early ends. To tell "
        f"differences between sellers from luck at least {MIN_SELLERS} such sellers are needed: "
        "about "
        f"{MIN_SELLERS * MIN_EARLY - most:.0f} more early ends{others}."
    )
    counts = {"the sellers' clients": int(ends["observed"].sum())}
    if len(ends) < 2:
        return Contrast(name, math.nan, math.nan, int(ends["clients"].sum()), counts, (few,))
    theta, se, interval = median_rate_ratio(ends["observed"], ends["expected"])
    lacking = () if enough >= MIN_SELLERS else (few,)
    return Contrast(name, theta, se, int(ends["clients"].sum()), counts, lacking, (), interval)


def seller_sensitivities(spells: pd.DataFrame) -> list[Contrast]:
    """The pre-listed other ways to compute the spread between sellers (plan.toml, A7)."""
    return [
        seller_spread(spells, unknown=AGENCY, name="unknown choice counts as the agency's"),
        seller_spread(spells, size=False, name="contracts alike alone, not size"),
    ]


def sellers(spells: pd.DataFrame) -> pd.DataFrame:
    """Each seller's funnel row (early ends), with deals a month, later ends over expected, and the
    share gone early.

    Deals a month run from the first to the last signing on record; the share gone by month six is
    Kaplan-Meier's, whatever ended it, so that clients signed lately do not count as kept.
    """
    early = expected_ends(spells, "seller_id")
    if early.empty:
        return early
    table = funnel(early["observed"], early["expected"])
    late = expected_ends(spells, "seller_id", early=False)
    table["later"] = (late["observed"] / late["expected"]).where(late["expected"] >= 5)
    signed = (
        spells[spells["entry_months"] == 0]
        .groupby("seller_id")["start_date"]
        .agg(["size", "min", "max"])
    )
    months = (signed["max"] - signed["min"]).dt.days / 30.4375
    table["signed"] = signed["size"]
    table["deals"] = (signed["size"] / months.clip(lower=1)).round(2)
    outcome = follow_up(spells)
    parts = {
        who: outcome.where((spells["seller_id"] == who).fillna(False).to_numpy())
        for who in table.index
    }
    known = {who: part for who, part in parts.items() if known_through(part, MIN_AT_RISK) >= EARLY}
    gone = {who: 1 - after(kaplan_meier(part), EARLY)["survival"] for who, part in known.items()}
    table["gone"] = pd.Series(
        gone, dtype=float
    )  # not known of those whose clients all signed lately
    return table


def seller_list(table: pd.DataFrame) -> pd.DataFrame:
    """The sellers' table as readers see it; whoever has too few expected ends is not ranked."""
    if table.empty:
        return pd.DataFrame()
    readings = ["too few to say", "beyond what luck does", "worth a look"]
    told = np.select(
        [table["few"], table["beyond"], table["unusual"]], readings, "within what luck does"
    )
    return pd.DataFrame(
        {
            "Seller": table.index,
            "Clients signed": table["signed"],
            "Deals a month": table["deals"],
            "Gone by month six": table["gone"],
            "Left early": table["observed"],
            "Expected": table["expected"],
            "Over expected": table["ratio"],
            "Interval": [
                f"{low:.2f} to {high:.2f}"
                for low, high in zip(table["low"], table["high"], strict=True)
            ],
            "Allowing for luck": table["shrunk"],
            "Later, over expected": table["later"],
            "Reading": told,
        }
    )


def seller_words(table: pd.DataFrame) -> Finding:
    """The sellers in a sentence: how many differ by more than luck, and what that rests on."""
    if table.empty:
        return Finding("A7", "Too few clients of known sellers have left to compare the sellers.")
    beyond = table[table["beyond"]]
    look = table[table["unusual"] & ~table["beyond"]]
    names = ", ".join(
        f"{who} ({row.ratio:.1f} times as many as expected)" for who, row in beyond.iterrows()
    )
    ranked = int((~table["few"]).sum())
    told = (
        f"The early ends of {names} lie beyond what luck does."
        if names
        else "Nobody's lie beyond what luck does."
    )
    if len(look):
        told += (
            f" Worth a look: {', '.join(look.index)}; of so many alike, luck alone puts "
            f"{ranked / 20:.1f} there."
        )
    return Finding(
        "A7",
        f"Of {len(table)} sellers {ranked} can be compared, for their clients are enough. {told}",
    )


def missing_sellers(spells: pd.DataFrame) -> list[str]:
    """What the comparison of sellers lacks."""
    known = "seller_id" in spells and spells["seller_id"].notna().any()
    return [] if known else ["who signed the client (column seller_id)"]


def expected_range(table: pd.DataFrame) -> np.ndarray:
    """Expected ends from 1 to a little above the largest, for the limits of the funnel."""
    return np.linspace(1, 1.1 * float(table["expected"].max()) + 1 if len(table) else 10, 100)


def funnel_words(table: pd.DataFrame, what: str = "Early ends", whom: str = "seller") -> str:
    """The funnel in words, for those who cannot see it."""
    told = [
        f"{who} {row.ratio:.2f} of {row.expected:.0f} expected" for who, row in table.iterrows()
    ]
    return f"{what} over those expected, by {whom}: {'; '.join(told) or 'too few to say'}."
