"""The leads of the made-up agency: those that became clients, and those that were not won."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from retention.sample.ledger import DAY, NO_DAY, signs_of
from retention.sample.life import Rng
from retention.sample.world import BURN_IN_MONTHS, FACTS, FIRST_RECORDED

if TYPE_CHECKING:
    from retention.sample.books import Books


def leads(books: Books, rng: Rng) -> pd.DataFrame:
    """Each recorded client was a lead; for each, those of the same source that were not won
    (C3).
    """
    on_record = books.rows["month"] >= BURN_IN_MONTHS
    everybody = books.rows.join(books.signs)
    both = _won_and_lost(everybody[on_record], rng)
    n = len(both)
    is_won = both["won"].to_numpy()
    start = both["start_date"]
    created, quoted, asked = _lead_days(both, rng)
    weaker = -0.4 + rng.normal(size=n)
    quality = rng.normal(-0.5, 1, n)
    drawn = signs_of(rng, quality)
    lost_spend = np.exp(weaker) * 8000 // 50 * 50 + 50
    signs = {name: np.where(is_won, both[name], drawn[name]) for name in drawn}
    table = {
        "created_on": created,
        "monthly_ad_spend": np.where(is_won, both["planned"], lost_spend),
        "source": both["source"],
        "asked_on": asked,
        "quoted_on": quoted,
        "signed_on": start.where(is_won),
        "client_id": both["client_id"],
        **signs,
    }
    whole = pd.DataFrame(table)
    recorded = created >= FIRST_RECORDED.start_time
    frame = whole[recorded].sort_values("created_on", kind="stable")
    prefix = f"l{books.prefix[1:]}"
    ids = [f"{prefix}{number:05d}" for number in range(1, len(frame) + 1)]
    frame.insert(0, "lead_id", ids)
    return frame


def _lead_days(leads: pd.DataFrame, rng: Rng) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The days on which leads came in, had an offer and were asked for; NO_DAY where never."""
    n = len(leads)
    is_won = leads["won"].to_numpy()
    start = leads["start_date"]
    ahead = rng.integers(12, 70, n)
    around = rng.integers(-30, 31, n)
    created = np.where(is_won, start - ahead * DAY, start + around * DAY)
    some = rng.random(n) < 0.5
    until_quoted = rng.integers(3, 11, n)
    quoted = np.where(is_won | some, created + until_quoted * DAY, NO_DAY)
    since_asked = rng.integers(1, 15, n)
    referred = leads["source"] == "referral"
    asked = np.where(referred, created - since_asked * DAY, NO_DAY)
    return created, quoted, asked


def _won_and_lost(won: pd.DataFrame, rng: Rng) -> pd.DataFrame:
    """The leads that were won, then those that were not; which they are says `won`."""
    rates = FACTS["sources"]["close_rate"]
    chance = won["source"].map(rates).to_numpy()
    times = rng.geometric(chance) - 1
    lost = won.loc[won.index.repeat(times)]
    leads = [won.assign(won=True), lost.assign(won=False)]
    return pd.concat(leads, ignore_index=True)
