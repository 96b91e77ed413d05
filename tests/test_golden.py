"""Agreement with R to ten digits (eight with late entry), on public data: tests/golden/golden.csv,
made by golden.R.
"""

import math
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from statsmodels.duration.hazard_regression import PHReg

from golden.datasets import COLUMNS, load
from retention.stats.correlations import steiger, zou
from retention.stats.curves import (
    after,
    cumulative_incidence,
    kaplan_meier,
    median,
    restricted_mean,
)
from retention.stats.funnel import funnel
from retention.stats.hazards import fit_hazard
from retention.stats.intervals import wilson
from retention.stats.outcomes import Outcome
from retention.stats.rates import logrank, rate_ratio

GOLDEN = pd.read_csv(
    Path(__file__).parent / "golden" / "golden.csv", dtype={"group": str}, keep_default_na=False
)
GOLDEN["value"] = pd.to_numeric(GOLDEN["value"], errors="coerce")
load = cache(load)


def rows(test: str) -> list:
    return list(GOLDEN[GOLDEN["test"] == test].itertuples(index=False))


def name(row) -> str:
    return " ".join(str(part) for part in row[1:5])


def agrees(found: float, expected: float, digits: int = 10) -> bool:
    return math.isclose(found, expected, rel_tol=0.5 * 10**-digits, abs_tol=1e-15)


def outcome(dataset: str, group: str = "all") -> Outcome:
    time, event, entry, by = COLUMNS[dataset]
    frame = load(dataset)
    frame = frame if by is None or group == "all" else frame[frame[by].astype(str) == group]
    return Outcome.of(frame[time], frame[event], None if entry is None else frame[entry])


@pytest.mark.parametrize("row", rows("km"), ids=name)
def test_kaplan_meier(row):
    follow_up = outcome(row.dataset, row.group)
    curve = kaplan_meier(follow_up)
    if row.quantity.startswith("median"):
        found = dict(zip(("quantile", "lower", "upper"), median(curve), strict=True))[
            row.quantity.split("_")[1]
        ]
        assert found == (math.inf if math.isnan(row.value) else pytest.approx(row.value, rel=1e-12))
    elif row.quantity == "at_risk":
        assert follow_up.at_risk([float(row.at)])[0] == row.value
    else:
        assert agrees(after(curve, float(row.at))[row.quantity], row.value)


STRATA = {"": None, "race": ["race"], "race+mar": ["race", "mar"]}


@pytest.mark.parametrize("row", rows("logrank"), ids=name)
def test_logrank(row):
    frame = load(row.dataset)
    group, _, strata = row.group.partition("|")
    columns = strata.split("+") if strata else []
    frame = frame.dropna(subset=columns).reset_index(drop=True)
    time, event, entry, _ = COLUMNS[row.dataset]
    if group == "odd":  # ties are broken as golden.R breaks them
        number = np.arange(1, len(frame) + 1)
        frame = frame.assign(**{time: frame[time] + number * 1e-4, "odd": number % 2})
    within = frame[columns].astype(str).agg(" ".join, axis=1) if columns else None
    whole = Outcome.of(frame[time], frame[event], None if entry is None else frame[entry])
    found = logrank(whole, frame[group], within)
    assert agrees({"chi2": found.chi2, "p": found.p}[row.quantity], row.value, 8 if entry else 10)


@pytest.mark.parametrize("row", rows("rmst"), ids=name)
def test_restricted_mean(row):
    mean, se = restricted_mean(outcome(row.dataset, row.group), float(row.at))
    assert agrees({"mean": mean, "se": se}[row.quantity], row.value)


@pytest.mark.parametrize("row", rows("cif"), ids=name)
def test_cumulative_incidence(row):
    table = cumulative_incidence(outcome(row.dataset), [float(row.at)])
    found = table[table["kind"] == int(row.group)][row.quantity].item()
    assert agrees(found, row.value, 8 if row.dataset == "mgus2_lt" else 10)


def test_rate_ratio_and_wilson():
    found = rate_ratio((24, 12), (300, 310))
    expected = {row.quantity: row.value for row in rows("rate_ratio")}
    assert all(agrees(getattr(found, key), value) for key, value in expected.items())
    low, high = (row.value for row in rows("wilson"))
    assert agrees(wilson(9, 80)[0], low) and agrees(wilson(9, 80)[1], high)


def test_no_golden_number_is_left_out():
    assert set(GOLDEN["test"]) == {
        *(
            "km",
            "logrank",
            "rmst",
            "cif",
            "rate_ratio",
            "wilson",
            "cloglog",
            "cox",
            "correlations",
            "funnel",
        )
    }
    assert len(GOLDEN) > 300 - 1


@cache
def monthly_fit(dataset: str):
    """The hazard regression of golden.R: a row a week or month up to arrest, a rate for each,
    clustered by age.
    """
    people = load("rossi")
    time = people["week"] if dataset == "rossi weeks" else np.ceil(people["week"] / 4)
    long = people.assign(time=time.astype(int), cluster=people["age"] // 3)
    long = long.loc[long.index.repeat(long["time"])]
    month = long.groupby(level=0).cumcount() + 1
    left = ((month == long["time"]) & (long["arrest"] == 1)).to_numpy()
    seen = month.isin(
        month[left].unique()
    ).to_numpy()  # a month in which nobody left tells nothing of the others
    exposure = pd.get_dummies(month[seen]).to_numpy(float)
    return fit_hazard(
        left[seen], long.loc[seen, ["fin", "age", "prio"]], exposure, long.loc[seen, "cluster"]
    )


@pytest.mark.parametrize("row", rows("cloglog"), ids=name)
def test_hazard_of_a_row_a_month(row):
    fit = monthly_fit(row.dataset)
    if row.quantity == "log_likelihood":
        assert agrees(fit.log_likelihood, row.value)
    elif row.quantity == "coef":
        assert agrees(fit.coefficient(row.group), row.value, 9)
    elif row.quantity == "se":
        at = fit.names.index(row.group)
        assert agrees(math.sqrt(fit.bread[at, at]), row.value, 8)
    else:
        few = math.sqrt(fit.n_clusters / (fit.n_clusters - 1))
        assert agrees(fit.se(row.group) / few, row.value, 7)


@pytest.mark.parametrize("row", rows("cox"), ids=name)
def test_the_advised_clustered_cox_regression(row):
    """Not used by the package: what to use instead of it where a Cox regression is wanted (METHODS
    8).
    """
    people = load("rossi")
    X = people[["fin", "age", "prio"]]
    model = PHReg(np.ceil(people["week"] / 4), X, status=people["arrest"], ties="breslow")
    fit = model.fit(groups=(people["age"] // 3).to_numpy())
    found = (fit.params if row.quantity == "coef" else fit.bse)[list(X).index(row.group)]
    assert agrees(found, row.value, 8)


@pytest.mark.parametrize("row", rows("correlations"), ids=name)
def test_dependent_correlations(row):
    first, second, between, n = (float(part) for part in row.dataset.split())
    if row.quantity in ("low", "high"):
        assert agrees(zou(first, second, between, int(n))[row.quantity == "high"], row.value)
    else:
        assert agrees(steiger(first, second, between, int(n)), row.value)


@pytest.mark.parametrize("row", rows("funnel"), ids=name)
def test_limits_of_observed_over_expected(row):
    observed, expected = (pd.Series([float(part)]) for part in row.dataset.split("/"))
    assert agrees(funnel(observed, expected)[row.quantity].iloc[0], row.value, 8)


SHARED = Path(__file__).parents[2] / "shared" / "reference" / "reference_numbers.csv"


NAMES = {
    "surv": "survival",
    "lower_loglog": "low",
    "upper_loglog": "high",
    "se_greenwood": "se",
    "n_risk": "at_risk",
}


def shared_numbers() -> dict[tuple, float]:
    """The shared reference under the keys of golden.csv: (test, dataset, quantity, group, at)."""
    found = {}
    for row in pd.read_csv(SHARED, dtype={"key": str}).itertuples():
        if row.test == "km" and row.quantity in NAMES:
            group, at = (part.partition("=")[2] for part in row.key.split(";"))
            found["km", row.dataset, NAMES[row.quantity], group, at] = row.value
        if row.test == "rmst":
            quantity, _, horizon = row.quantity.partition("_tau")
            found[
                "rmst", row.dataset, {"rmst": "mean"}.get(quantity, quantity), row.key, horizon
            ] = row.value
        if row.test.startswith("discrete_cloglog") and row.quantity in (
            "coef",
            "se",
            "cluster_se_noadj",
        ):
            about = "rossi months" if row.test.endswith("monthly") else "rossi weeks"
            found[
                "cloglog", about, row.quantity.replace("cluster_se_noadj", "clustered"), row.key, ""
            ] = row.value
        if row.test == "cox_monthly_cluster_breslow" and row.quantity in ("coef", "robust_se"):
            quantity = row.quantity.replace("robust_se", "clustered")
            found["cox", "rossi months", quantity, row.key, ""] = row.value
        if row.test == "dep_corr" and row.quantity not in ("p", "williams_t"):
            case = (
                "-0.42 -0.25 0.35 120"
                if row.dataset.startswith("n=120")
                else "0.396 0.179 0.088 66"
            )
            quantity = {"steiger1980_z": "steiger", "zou_lower": "low"}.get(row.quantity, "high")
            found["correlations", case, quantity, "", ""] = row.value
        if row.test.startswith("aalen_johansen") and "cmprsk" not in row.quantity:
            quantity = {"cif": "share", "lower_loglog": "low", "upper_loglog": "high"}.get(
                row.quantity[:-1], "se"
            )
            found["cif", row.dataset, quantity, row.quantity[-1], row.key] = row.value
    return found


@pytest.mark.skipif(
    not SHARED.is_file(), reason="the shared reference numbers are not beside this project"
)
def test_the_golden_numbers_are_the_shared_reference_numbers():
    held = {
        tuple(str(part) for part in row[:5]): row.value for row in GOLDEN.itertuples(index=False)
    }
    shared = shared_numbers()
    assert len(shared) > 200
    # There glm stops at a difference of 1e-8 and keeps a month without ends, and coxph stops at
    # 1e-9.
    digits = {"cloglog": 4, "cox": 7}
    assert [
        k
        for k, v in shared.items()
        if not agrees(held[k], v, digits.get(k[0], 10)) and not math.isnan(v)
    ] == []
