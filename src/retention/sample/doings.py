"""What the made-up agency did, and for whom: the trials as they were drawn, and the actions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from retention.data.seals import seal_of
from retention.sample.ledger import DAY, day_of, ids_of
from retention.sample.world import FACTS

if TYPE_CHECKING:
    from retention.sample.books import Books

CALLED = 0.5  # share of detractors who are called, whoever they are
DONE = {"act": 0.9, "wait": 0.05}  # share of each arm that is acted on
HOURLY = 70  # what an hour of a call costs


def drawn(books: Books) -> pd.DataFrame:
    """The table of trials: a row a client drawn, in the order of the draws."""
    made = [_draw(books, name) for name in FACTS["trials"]]
    made = [rows for rows in made if len(rows)]
    sealed = [rows.assign(seal=seal_of(rows, at)) for at, rows in enumerate(made, 1)]
    return pd.concat(sealed or [_draw(books, "")], ignore_index=True)


def _draw(books: Books, name: str) -> pd.DataFrame:
    """One trial's draw; no rows where nobody was drawn."""
    rows = books.rows
    about = FACTS["trials"].get(name, dict.fromkeys(("ago", "list", "horizon_months"), 0))
    risk = rows.get(f"predicted {name}", pd.Series(0.0, rows.index))
    chosen = rows[risk > 0]
    risk = risk[risk > 0]
    day = day_of(np.array([books.agency.total - about["ago"]]), 1)[0] - DAY
    coin = chosen.get(f"coin {name}", risk > 0)
    likely = np.where(risk > risk.median(), "higher risk", "lower risk")
    large = chosen["planned"] > chosen["planned"].median()
    stratum = pd.Series(likely, chosen.index) + np.where(
        large, ", larger margin", ", smaller margin"
    )
    table = {
        "trial": name,
        "client_id": chosen["client_id"],
        "list": about["list"],
        "arm": np.where(coin, "act", "wait"),
        "drawn_on": day,
        "stratum": stratum,
        "predicted": risk,
        "horizon_months": about["horizon_months"],
        "planned": about.get("planned"),
        "smallest": about.get("smallest"),
        "seed": about.get("seed"),
        "recorded_at": day,
    }
    return pd.DataFrame(table)


def acted(books: Books, rng: np.random.Generator, surveys: dict[str, Any]) -> pd.DataFrame:
    """The table of actions: calls to detractors, and what was done for those drawn."""
    asked = pd.DataFrame(surveys)
    unhappy = asked[(asked["nps"] <= 6) & asked["answered_on"].notna()]
    called = unhappy[rng.random(len(unhappy)) < CALLED]
    calls = pd.DataFrame(
        {
            "client_id": called["client_id"],
            "action": "care",
            "done_on": pd.to_datetime(called["answered_on"]) + 2 * DAY,
            "by": called["rep_id"],
        }
    )
    trials = drawn(books)
    done = trials[rng.random(len(trials)) < trials["arm"].map(DONE).astype(float)]
    days = rng.integers(2, 15, len(done)) * DAY
    reps = books.rows.set_index("client_id")["life"]
    rep = books.lives.states["rep"]
    of_trials = pd.DataFrame(
        {
            "client_id": done["client_id"],
            "action": done["list"],
            "done_on": pd.to_datetime(done["drawn_on"]) + days,
            "by": ids_of("r", rep[reps.reindex(done["client_id"]).to_numpy(int), -1]),
        }
    )
    both = pd.concat([calls, of_trials]).sort_values(["done_on", "client_id"], kind="stable")
    hours = rng.uniform(0.5, 3, len(both))
    both = both.assign(cost=(hours * HOURLY).round(), note=None, recorded_at=both["done_on"])
    return both[_before_the_end(books, both)]


def _before_the_end(books: Books, rows: pd.DataFrame) -> np.ndarray:
    """Whether each action came while its client was there."""
    ends = books.rows.set_index("client_id")["end_date"]
    end = rows["client_id"].map(ends)
    return ~(rows["done_on"] > end).to_numpy()
