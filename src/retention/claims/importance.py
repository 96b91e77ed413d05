"""How far liking and results each help to predict who leaves (A6): importance, whose liking, who
does not answer.

Views beside the verdict: where they agree with it, it is robust; each can mislead alone. Source:
METHODS 4.
"""

import contextlib
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from retention.claims.rep_liking import BOTH
from retention.contrast import Z95, Contrast
from retention.history.grids import in_deviations
from retention.history.lagged import Design, design
from retention.history.panel import Panel
from retention.history.spells import CLIENT, UNKNOWN, whole_months
from retention.numbers import between
from retention.results import Estimate, Estimates, Finding
from retention.stats.bands import band_exposure
from retention.stats.correlations import steiger, zou
from retention.stats.hazards import (
    BOOTSTRAP_FROM,
    Fit,
    NotFittedError,
    bunched,
    fit_hazard,
    varying,
)
from retention.words import key_of, say

HELD_OUT = 1 / 3  # the last of the decisions, on which importance is measured
SHUFFLES = 20
MIN_SHOWN = 10  # (ours) clients from which a mean of a month before the decision is shown
DRAWS = 200
ONE_STEP_FROM = 2000  # (ours) clients from which resamples start at the estimate, without refits
QUANTILES = (0.025, 0.975)
SHARE = say("rep_liking.importance.liking_share")
LOST = {
    "liking": say("rep_liking.importance.lost_liking"),
    "results": say("rep_liking.importance.lost_results"),
}
SHUFFLED = {
    "liking": say("rep_liking.shuffled.liking"),
    "results": say("rep_liking.shuffled.results"),
    "gap": say("rep_liking.shuffled.gap"),
}


def dominance(panel: Panel, seed: int = 1) -> Estimates:
    """Liking's share of what liking and results explain together, and what the fit loses without
    either.

    General dominance: each one's gain in log-likelihood, averaged over being entered first and
    last. Interval of the share: clients resampled, full refits; from two thousand clients on the
    gains are approximated to second order from the estimate (`Fit.reached`). METHODS 4.
    """
    try:
        made = design(panel.rows, BOTH)
        gains = _gains(made)
    except NotFittedError:
        return Estimates((), say("rep_liking.importance.lacking"))
    client = made.rows["client_id"]
    codes, names = pd.factorize(client)
    few = len(names) < ONE_STEP_FROM
    draws = _refits(made, codes, seed) if few else _one_step(made, seed)
    draws = draws[~np.isnan(draws)]
    ended = made.rows["left"].sum()
    counts = (len(names), int(ended))
    limits = np.quantile(draws, QUANTILES) if len(draws) else (math.nan, math.nan)
    share = (_share(gains), *limits)
    both_name = Estimate.of(
        "A6", SHARE, say("rep_liking.importance.of_both"), share, "share", counts
    )
    rows = [both_name]
    by_results = gains["both"] - gains["results"]
    by_liking = gains["both"] - gains["liking"]
    lost = {"liking": by_results, "results": by_liking}
    group = say("rep_liking.importance.log_likelihood")
    rows += [Estimate.of("A6", LOST[x], group, (fit,), "", counts) for x, fit in lost.items()]
    caption = _dominance_caption(DRAWS - len(draws))
    return Estimates(tuple(rows), caption)


def _dominance_caption(failed: int) -> str:
    if failed:
        return say("rep_liking.importance.caption_failed", failed=failed, draws=DRAWS)
    return say("rep_liking.importance.caption")


LEFT_OUT: Mapping[str, Sequence[str]] = {
    "neither": BOTH,
    "liking": ("results",),
    "results": ("liking",),
    "both": (),
}


def _gains(made: Design, weights: np.ndarray | None = None) -> dict[str, float]:
    """Log-likelihood gained by liking, results and both over the controls alone; the same rows
    throughout.
    """
    reached = {
        name: made.fit(without, weights).log_likelihood for name, without in LEFT_OUT.items()
    }
    return {name: value - reached["neither"] for name, value in reached.items()}


def _refits(made: Design, codes: np.ndarray, seed: int) -> np.ndarray:
    """Liking's share on resampled clients, each fitted anew, shape (DRAWS,); NaN where that cannot
    be done.
    """
    rng = np.random.default_rng(seed)
    count = codes.max() + 1
    draws = np.full(DRAWS, np.nan)
    for k in range(DRAWS):
        times = rng.multinomial(count, np.full(count, 1 / count))[codes]
        with contextlib.suppress(NotFittedError):
            shares = _gains(made, times.astype(float))
            draws[k] = _share(shares)
    return draws


def _one_step(made: Design, seed: int) -> np.ndarray:
    """The same to second order from the estimate, without refits."""
    left = made.rows["left"].to_numpy()
    reached = {
        name: made.fit(without).reached(left, DRAWS, seed) for name, without in LEFT_OUT.items()
    }
    gained = {name: values - reached["neither"] for name, values in reached.items()}
    gains = pd.DataFrame(gained)
    return np.array([_share(row) for row in gains.to_dict("records")])


def _share(gains: Mapping[str, float]) -> float:
    alone_and_both = gains["liking"] + gains["both"]
    liking = (alone_and_both - gains["results"]) / 2
    any_gain = gains["both"] > 0
    return liking / gains["both"] if any_gain else math.nan


def held_out_importance(panel: Panel, seed: int = 1) -> Estimates:
    """How much worse later leaving is predicted when one measure is shuffled among the clients of
    the same month.

    Fitted on the earlier two thirds of the rows by calendar, measured on the rest: log loss per
    thousand rows. Interval: clients of the later rows resampled. METHODS 4.
    """
    rated = panel.rows.dropna(subset=list(BOTH))
    rows = rated.reset_index(drop=True)
    begin = rows["start_date"].dt.year * 12
    started = begin + rows["start_date"].dt.month
    at = started + rows["to_month"]
    month = at.to_numpy(int)
    later = month > np.quantile(month, 1 - HELD_OUT) if len(rows) else np.array([], dtype=bool)
    X = _held_out_covariates(rows, later)
    E = band_exposure(rows["from_month"], rows["to_month"], rows["left"])
    y = rows["left"].to_numpy()
    try:
        client = rows.loc[~later, "client_id"]
        known_ends = y[~later]
        fit = fit_hazard(known_ends, X[~later], E[~later], client)
    except NotFittedError:
        return Estimates((), say("rep_liking.shuffled.lacking"))
    if not later.any():  # all of one calendar month
        return Estimates((), say("rep_liking.shuffled.one_month"))
    rng = np.random.default_rng(seed)
    test = X[later].reset_index(drop=True)
    worse = _worse_by_shuffling(fit, test, E[later], y[later], month[later], rng)
    late_clients = rows.loc[later, "client_id"]
    codes, clients = pd.factorize(late_clients)
    limits = _mean_limits(worse, codes, rng)
    late_ends = int(y[later].sum())
    counts = (len(clients), late_ends)
    loss = say("rep_liking.shuffled.loss")
    estimates = [
        Estimate.of("A6", loss, SHUFFLED[name], (values.mean(), *limits[name]), "", counts)
        for name, values in worse.items()
    ]
    return Estimates(tuple(estimates), say("rep_liking.shuffled.caption"))


def _held_out_covariates(rows: pd.DataFrame, later: np.ndarray) -> pd.DataFrame:
    """Both measures in standard deviations, and term and size as far as they vary before `later`
    (n,).
    """
    middle = rows[list(BOTH)].mean()
    deviations = rows[list(BOTH)] - middle
    scaled = deviations / rows[list(BOTH)].std()
    fixed_term = rows["term_months"] > 1
    fixed = fixed_term.astype(float)
    spend = rows["monthly_ad_spend"].clip(lower=1)
    size = np.log(spend)
    columns = [fixed, size]
    controls = pd.concat(columns, axis=1)
    differing = controls[varying(controls[~later]).columns]
    return pd.concat([scaled, differing], axis=1)


def _worse_by_shuffling(
    fit: Fit,
    test: pd.DataFrame,
    exposure: np.ndarray,
    left: np.ndarray,
    month: np.ndarray,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """How much log loss each row gains (per thousand) when a measure is shuffled within `month`
    (n,).

    For liking, results and their `gap`, liking's less results'; each the mean of `SHUFFLES`.
    """
    predicted = fit.expected_for(test.to_numpy(), exposure)
    plain = _losses(predicted, left)
    worse = {}
    for name in BOTH:
        total = np.zeros(len(test))
        for _ in range(SHUFFLES):
            other = test.groupby(month)[name].transform(rng.permutation)
            with_other = test.assign(**{name: other})
            shuffled = with_other.to_numpy()
            with_shuffled = fit.expected_for(shuffled, exposure)
            total += _losses(with_shuffled, left) - plain
        worse[name] = 1000 * total / SHUFFLES
    worse["gap"] = worse["liking"] - worse["results"]
    return worse


def _mean_limits(
    worse: Mapping[str, np.ndarray], codes: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """95 % limits of each mean over rows, clients (`codes`, from 0) resampled."""
    bunch = bunched(codes)
    count = bunch.max() + 1
    times = rng.multinomial(count, np.full(count, 1 / count), size=1000)
    rows_drawn = times @ np.bincount(bunch)
    return {
        name: np.quantile(times @ np.bincount(bunch, values) / rows_drawn, QUANTILES)
        for name, values in worse.items()
    }


def _losses(expected: np.ndarray, left: np.ndarray) -> np.ndarray:
    """Log loss of each row, from the cumulative hazard expected of it."""
    chance = -np.expm1(-expected)
    leaving = np.maximum(chance, 1e-12)
    loss = -np.log(leaving)
    return np.where(left > 0, loss, expected)


def agreement(difference: Contrast, shares: Estimates, shuffled: Estimates) -> Finding:
    """Whether the four views of importance point the same way, in a sentence: only then is the
    answer robust.
    """
    views = _for_liking(difference, shares, shuffled)
    if not views:
        return Finding("A6", say("rep_liking.agreement.lacking"))
    if any(views) and not all(views):
        return Finding("A6", say("rep_liking.agreement.apart"))
    low, high = difference.interval()
    if low <= 0 <= high:
        interval = between(low, high, "difference")
        unclear = say("rep_liking.agreement.unclear", gap=difference.theta, interval=interval)
        return Finding("A6", unclear)
    if all(views):
        return Finding("A6", say("rep_liking.agreement.liking"))
    return Finding("A6", say("rep_liking.agreement.results"))


def _for_liking(difference: Contrast, shares: Estimates, shuffled: Estimates) -> list[bool]:
    """Of each of the four views whether it favours liking; empty where one is lacking."""
    by_name = {key_of(row.name): row.estimate for row in shares.rows}
    by_group = {key_of(row.group): row.estimate for row in shuffled.rows}
    needed = [SHARE, *LOST.values()]
    if difference.gate or any(key_of(name) not in by_name for name in needed):
        return []
    if any(key_of(group) not in by_group for group in SHUFFLED.values()):
        return []
    return [
        difference.theta > 0,
        by_name[key_of(SHARE)] > 0.5,
        by_group[key_of(SHUFFLED["gap"])] > 0,
        by_name[key_of(LOST["liking"])] > by_name[key_of(LOST["results"])],
    ]


def naive_correlations(panel: Panel, month: int = 12) -> Estimates:
    """What most would compute: correlations of a client's mean liking and mean results with being
    there after a year.

    Spearman's, over clients who could be observed for the year; the difference with Zou's interval.
    Naive: it averages over different lengths, and over months after the decision was made. METHODS
    4.
    """
    table = _means_and_staying(panel, month)
    n = len(table)
    r = table.corr("spearman")
    first = r.loc["stayed", "liking"]
    second = r.loc["stayed", "results"]
    both = r.loc["liking", "results"]
    too_few = n < BOOTSTRAP_FROM / 10
    if too_few or not math.isfinite(first + second + both):
        return Estimates((), say("rep_liking.naive.too_few"))
    gone = table["stayed"] == 0
    counts = (n, int(gone.sum()))
    half = Z95 / math.sqrt(n - 3)
    staying = say("rep_liking.naive.staying")
    rows = []
    for name, x in (("liking", first), ("results", second)):
        limits = [math.tanh(math.atanh(x) + k * half) for k in (-1, 1)]
        group = say(f"rep_liking.naive.{name}")
        estimate = Estimate.of("A6", staying, group, (x, *limits), "", counts)
        rows.append(estimate)
    gap = (first - second, *zou(first, second, both, n))
    gap_row = Estimate.of("A6", staying, say("rep_liking.naive.gap"), gap, "", counts)
    rows.append(gap_row)
    statistic = abs(steiger(first, second, both, n))
    p = stats.norm.sf(statistic) * 2
    return Estimates(tuple(rows), _naive_caption(p))


def _means_and_staying(panel: Panel, month: int) -> pd.DataFrame:
    """A row a client who could be observed to this month: mean `liking` and `results`, and whether
    it `stayed` (0 or 1).
    """
    spells = panel.spells
    with np.errstate(invalid="ignore"):
        means = pd.DataFrame(
            {name: pd.DataFrame(getattr(panel, name)).mean(axis=1) for name in BOTH}
        )
    stayed = (spells["stop_months"] >= month) & ~(
        spells["ended"] & (spells["stop_months"] == month)
    )
    long_enough = spells["observed_months"] >= month
    seen = long_enough & (spells["entry_months"] == 0)
    kept = seen & means.notna().all(axis=1)
    left_or_stayed = stayed.astype(float)
    return means.assign(stayed=left_or_stayed)[kept]


def _naive_caption(p: float) -> str:
    if p < 0.001:
        return say("rep_liking.naive.caption_small")
    return say("rep_liking.naive.caption", p=p)


def months_to_decision(panel: Panel, back: int = 12) -> pd.DataFrame:
    """Mean liking and results of those who left by choice, by months before the decision: where the
    dip begins.

    Columns `measure, months_before, mean, low, high, clients`, in standard deviations from all
    clients' mean.
    """
    spells = panel.spells
    by_choice = spells["end_kind"].isin([CLIENT, UNKNOWN])
    at = np.flatnonzero(spells["ended"] & by_choice)
    served = whole_months(spells["start_date"], spells["decision_date"])
    decided = served.fillna(-1).astype(int)
    rows = []
    for name in BOTH:
        scaled = in_deviations(getattr(panel, name))
        for before in range(back + 1):
            month = decided.to_numpy()[at] - before
            last = scaled.shape[1] - 1
            at_month = np.clip(month[month >= 0], 0, last)
            values = scaled[at[month >= 0], at_month]
            values = values[~np.isnan(values)]
            if len(values) >= MIN_SHOWN:
                mean = values.mean()
                reach = Z95 * values.std(ddof=1)
                half = reach / math.sqrt(len(values))
                label = say(f"rep_liking.measure.{name}")
                rows.append((label, -before, mean, mean - half, mean + half, len(values)))
    columns = ["measure", "months_before", "mean", "low", "high", "clients"]
    return pd.DataFrame(rows, columns=columns)


def dip_words(frame: pd.DataFrame) -> str:
    """The chart of the months before the decision in words, for those who cannot see it."""
    if frame.empty:
        return say("rep_liking.dip.nothing")
    lines = []
    for measure, part in frame.groupby("measure", sort=False):
        line = say(
            "rep_liking.dip.line",
            measure=measure,
            early=part["mean"].iloc[-1],
            farthest=-part["months_before"].min(),
            late=part["mean"].iloc[0],
            nearest=-part["months_before"].max(),
        )
        lines.append(line)
    return say("rep_liking.dip.alt", lines="; ".join(lines))
