"""An attack on what leaves an agency, by somebody who has its clients table, and its outcomes but
for one client's: can they tell from the file whether that client left by its own choice?

They compute every number both ways and choose the more likely. Guessing is right in half the cases.
"""

import datetime as dt
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from retention.claims.ad_spend import size_hazard_ratio
from retention.claims.contract_term import contract_hazard_ratio
from retention.contrast import Z95
from retention.history.spells import build_spells
from retention.pool.blur import ERROR_NOISE, NOISE, Blur
from retention.sample import World, simulate

CLAIMS = {"A1": contract_hazard_ratio, "A4": size_hazard_ratio}
BEGIN, CUTOFF = dt.date(2021, 1, 1), dt.date(2025, 12, 31)
SMALLEST = 5
ATTACKED, TRIES = 20, 300


def numbers(clients: pd.DataFrame) -> np.ndarray:
    """Of each claim the estimate, its standard error, clients and ends: shape (claims, 4)."""
    spells = build_spells(clients, cutoff=CUTOFF, records_begin=BEGIN)
    found = [estimate(spells) for estimate in CLAIMS.values()]
    return np.array([(x.theta, x.reach() / Z95, x.n_clients, x.n_events) for x in found])


def told(exact: np.ndarray, secret: int) -> np.ndarray:
    """What an agency with this secret hands out."""
    blur = Blur("", secret.to_bytes(32), SMALLEST)
    rows = []
    for name, (theta, se, clients, ends) in zip(CLAIMS, exact, strict=True):
        counts = [blur.count(f"{name} {k}", int(n)) for k, n in enumerate((clients, ends))]
        rows.append((*blur.estimate(name, theta, se), *counts))
    return np.array(rows)


def fit(seen: np.ndarray, exact: np.ndarray) -> float:
    """How likely what is seen is where the numbers are these: the log of it, but for a constant."""
    theta, se, counts = exact[:, 0], exact[:, 1], exact[:, 2:]
    estimates = stats.norm.logpdf(seen[:, 0], theta, NOISE * se).sum()
    errors = np.log(seen[:, 1] / (se * math.hypot(1, NOISE)))
    away = seen[:, 2:, None] + np.arange(SMALLEST) - counts[:, :, None]
    likely = np.log(np.exp(-np.abs(away) / SMALLEST).sum(axis=-1)).sum()
    return float(estimates + stats.norm.logpdf(errors, 0, ERROR_NOISE).sum() + likely)


def right(one: np.ndarray, other: np.ndarray) -> float:
    """How often the more likely of the two is the true one."""
    wins = 0.0
    for secret in range(TRIES):
        true, false = (one, other) if secret % 2 else (other, one)
        seen = told(true, secret)
        ahead = fit(seen, true) - fit(seen, false)
        wins += 0.5 * (1 + np.sign(ahead))  # where both are as likely, a guess
    return wins / TRIES


@pytest.mark.slow
def test_what_one_client_did_cannot_be_told():
    clients = simulate(World(), clients=150, seed=4, tables=("clients",))["clients"]
    exact = numbers(clients)
    own = clients.index[clients["end_initiator"] == "client"]
    attacked = np.random.default_rng(1).choice(own, ATTACKED, replace=False)
    rates = []
    for place in attacked:
        other = clients.copy()
        other.loc[place, "end_initiator"] = "agency"
        rates.append(right(exact, numbers(other)))
    assert np.median(rates) < 0.65
    assert max(rates) < 0.80


def test_without_noise_the_attack_succeeds(monkeypatch):
    """The attack is a real one: what is told to the digit gives the client away."""
    one = np.array([[0.6189, 0.2384, 160, 100], [-1.0, 0.3276, 80, 45]])
    other = one + np.array([[0.03, 0.0, 0, -1], [0.02, 0.0, 0, -1]])
    monkeypatch.setattr("retention.pool.blur.NOISE", 1e-3)
    monkeypatch.setattr("test_share_attack.NOISE", 1e-3)
    assert right(one, other) > 0.99
