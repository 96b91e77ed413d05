"""How far liking or results each help to tell who leaves (A6): importance, whose liking, who does
not answer.

Views beside the verdict: where they agree with it, it is robust; each can mislead alone. Source:
METHODS 4.
"""

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy import stats

from retention.claims.rep_liking import BOTH, liking_difference
from retention.history.panel import (
    WINDOW,
    Design,
    Panel,
    design,
    in_deviations,
    lagged_contrast,
    lagged_rows,
    result_grid,
)
from retention.history.spells import CLIENT, UNKNOWN, whole_months
from retention.results import Z95, Contrast, Estimate, Estimates, Finding, between
from retention.settings import ResultsSettings
from retention.stats.correlations import steiger, zou
from retention.stats.hazards import (
    BOOTSTRAP_FROM,
    NotFittedError,
    band_exposure,
    bunched,
    fit_hazard,
    varying,
)

COSTS = ("cp", "cost")  # metrics so named are better when lower
HELD_OUT = 1 / 3  # the last of the decisions, on which importance is measured
SHUFFLES = 20
DRAWS = 200
ONE_STEP_FROM = (
    2000  # (ours) clients from which resamples are told from the estimate and not by refits
)
SHIFTS = (
    0.0,
    -0.5,
    -1.0,
    -1.5,
    -2.0,
)  # standard deviations by which those who do not answer may like the rep less


def dominance(panel: Panel, seed: int = 1) -> Estimates:
    """Liking's share of what liking and results explain together, and what the fit loses without
    either.

    General dominance: each one's gain in log-likelihood, averaged over being entered first and
    last. Interval of the share: clients resampled, full refits; from two thousand clients on the
    gains are told to second order from the estimate (`Fit.reached`). METHODS 4.
    """
    try:
        made = design(panel.rows, BOTH)
        gains = _gains(made)
    except NotFittedError:
        return Estimates((), "Not computed: ratings, results or clients who left are lacking")
    codes, names = pd.factorize(made.rows["client_id"])
    draws = _refits(made, codes, seed) if len(names) < ONE_STEP_FROM else _one_step(made, seed)
    draws = draws[~np.isnan(draws)]
    counts = (len(names), int(made.rows["left"].sum()))
    limits = np.quantile(draws, [0.025, 0.975]) if len(draws) else (math.nan, math.nan)
    found = [
        Estimate.of("A6", "liking's share", "of both", (_share(gains), *limits), "share", counts)
    ]
    lost = {"liking": gains["both"] - gains["results"], "results": gains["both"] - gains["liking"]}
    found += [
        Estimate.of("A6", f"fit lost without {x}", "log-likelihood", (n,), "", counts)
        for x, n in lost.items()
    ]
    failed = (
        f"; {DRAWS - len(draws)} of {DRAWS} resamples could not be fitted"
        if len(draws) < DRAWS
        else ""
    )
    return Estimates(tuple(found), f"What each adds to the other in telling who leaves{failed}")


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
            draws[k] = _share(_gains(made, times.astype(float)))
    return draws


def _one_step(made: Design, seed: int) -> np.ndarray:
    """The same to second order from the estimate, without refits."""
    left = made.rows["left"].to_numpy()
    reached = {
        name: made.fit(without).reached(left, DRAWS, seed) for name, without in LEFT_OUT.items()
    }
    gains = pd.DataFrame({name: values - reached["neither"] for name, values in reached.items()})
    return np.array([_share(row) for row in gains.to_dict("records")])


def _share(gains: Mapping[str, float]) -> float:
    liking = (gains["liking"] + gains["both"] - gains["results"]) / 2
    return liking / gains["both"] if gains["both"] > 0 else math.nan


def held_out_importance(panel: Panel, seed: int = 1) -> Estimates:
    """How much worse later leaving is told when one measure is shuffled among the clients of the
    same month.

    Fitted on the earlier two thirds of the rows by calendar, measured on the rest: log loss per
    thousand rows. Interval: clients of the later rows resampled. METHODS 4.
    """
    rows = panel.rows.dropna(subset=list(BOTH)).reset_index(drop=True)
    month = (
        rows["start_date"].dt.year * 12 + rows["start_date"].dt.month + rows["to_month"]
    ).to_numpy(int)
    later = month > np.quantile(month, 1 - HELD_OUT) if len(rows) else np.array([], dtype=bool)
    scaled = (rows[list(BOTH)] - rows[list(BOTH)].mean()) / rows[list(BOTH)].std()
    fixed = (rows["term_months"] > 1).astype(float)
    size = np.log(rows["monthly_ad_spend"].clip(lower=1))
    controls = pd.concat([fixed, size], axis=1)
    X = pd.concat([scaled, controls[varying(controls[~later]).columns]], axis=1)
    E = band_exposure(rows["from_month"], rows["to_month"], rows["left"])
    y = rows["left"].to_numpy()
    try:
        fit = fit_hazard(y[~later], X[~later], E[~later], rows.loc[~later, "client_id"])
    except NotFittedError:
        return Estimates(
            (), "Not computed on later clients: ratings, results or clients who left are lacking"
        )
    if not later.any():  # all of one calendar month
        return Estimates(
            (), "Not computed on later clients: every opportunity to leave fell into one month"
        )
    test = X[later].reset_index(drop=True)
    rng = np.random.default_rng(seed)
    loss = {"": _losses(fit.expected_for(test.to_numpy(), E[later]), y[later])}
    worse = {}
    for name in BOTH:
        total = np.zeros(len(test))
        for _ in range(SHUFFLES):
            shuffled = test.assign(
                **{name: test.groupby(month[later])[name].transform(rng.permutation)}
            )
            total += _losses(fit.expected_for(shuffled.to_numpy(), E[later]), y[later]) - loss[""]
        worse[name] = 1000 * total / SHUFFLES
    codes, names = pd.factorize(rows.loc[later, "client_id"])
    bunch = bunched(codes)
    count = bunch.max() + 1
    times = rng.multinomial(count, np.full(count, 1 / count), size=1000)
    found = []
    for name, values in {
        **worse,
        "liking over results": worse["liking"] - worse["results"],
    }.items():
        limits = np.quantile(
            times @ np.bincount(bunch, values) / (times @ np.bincount(bunch)), [0.025, 0.975]
        )
        counts = (len(names), int(y[later].sum()))
        found.append(
            Estimate.of("A6", "loss by shuffling", name, (values.mean(), *limits), "", counts)
        )
    return Estimates(tuple(found), "What telling later leavers loses, per thousand opportunities")


def _losses(expected: np.ndarray, left: np.ndarray) -> np.ndarray:
    """Log loss of each row, from the cumulative hazard expected of it."""
    return np.where(left > 0, -np.log(np.maximum(-np.expm1(-expected), 1e-12)), expected)


def agreement(difference: Contrast, shares: Estimates, shuffled: Estimates) -> Finding:
    """Whether the four views of importance point the same way, in a sentence: only then is the
    answer robust.
    """
    told = {row.name: row.estimate for row in shares.rows} | {
        row.group: row.estimate for row in shuffled.rows
    }
    if difference.gate or len(told) < 6:
        return Finding(
            "A6",
            "The four views cannot be held against each other: ratings, results or clients who "
            "left are lacking.",
        )
    views = [difference.theta > 0, told["liking's share"] > 0.5, told["liking over results"] > 0]
    views.append(told["fit lost without liking"] > told["fit lost without results"])
    if sum(views) in (0, 4):
        low, high = difference.interval()
        if low <= 0 <= high:
            interval = (
                f"{difference.theta:.2f} (95% confidence interval "
                f"{between(low, high, 'difference')})"
            )
            return Finding(
                "A6",
                f"All four views point the same way, but no clear difference is found: {interval}.",
            )
        which = "liking tells" if all(views) else "results tell"
        return Finding("A6", f"All four views say that {which} more about leaving.")
    return Finding(
        "A6", "The four views do not agree: the answer depends on how importance is measured."
    )


def naive_correlations(panel: Panel, month: int = 12) -> Estimates:
    """What most would compute: correlations of a client's mean liking and mean results with being
    there after a year.

    Spearman's, over clients who could be observed for the year; the difference with Zou's interval.
    Naive: it averages over different lengths, and over months after the decision was made. METHODS
    4.
    """
    spells = panel.spells
    with np.errstate(invalid="ignore"):
        means = pd.DataFrame(
            {name: pd.DataFrame(getattr(panel, name)).mean(axis=1) for name in BOTH}
        )
    stayed = (spells["stop_months"] >= month) & ~(
        spells["ended"] & (spells["stop_months"] == month)
    )
    seen = (spells["observed_months"] >= month) & (spells["entry_months"] == 0)
    table = means.assign(stayed=stayed.astype(float))[seen & means.notna().all(axis=1)]
    n = len(table)
    r = table.corr("spearman")
    first = r.loc["stayed", "liking"]
    second = r.loc["stayed", "results"]
    both = r.loc["liking", "results"]
    if n < BOOTSTRAP_FROM / 10 or not math.isfinite(first + second + both):
        return Estimates((), "Too few clients could be observed for a year")
    counts = (n, int((table["stayed"] == 0).sum()))
    left = stats.norm.sf(abs(steiger(first, second, both, n))) * 2
    half = Z95 / math.sqrt(n - 3)
    rows = []
    for name, x in (("liking", first), ("results", second)):
        limits = [math.tanh(math.atanh(x) + k * half) for k in (-1, 1)]
        rows.append(Estimate.of("A6", "with staying a year", name, (x, *limits), "", counts))
    gap = (first - second, *zou(first, second, both, n))
    rows.append(Estimate.of("A6", "with staying a year", "liking's over results'", gap, "", counts))
    shown = "p < 0.001" if left < 0.001 else f"p = {left:.3f}"
    return Estimates(
        tuple(rows),
        f"Naive: correlations over whole stays (Steiger's test of the difference: {shown})",
    )


def months_to_decision(panel: Panel, back: int = 12) -> pd.DataFrame:
    """Mean liking and results of those who left by choice, by months before the decision: where the
    dip begins.

    Columns `measure, months_before, mean, low, high, clients`, in standard deviations from all
    clients' mean.
    """
    spells = panel.spells
    at = np.flatnonzero(spells["ended"] & spells["end_kind"].isin([CLIENT, UNKNOWN]))
    decided = whole_months(spells["start_date"], spells["decision_date"]).fillna(-1).astype(int)
    rows = []
    for name in BOTH:
        scaled = in_deviations(getattr(panel, name))
        for before in range(back + 1):
            month = decided.to_numpy()[at] - before
            values = scaled[at[month >= 0], np.clip(month[month >= 0], 0, scaled.shape[1] - 1)]
            values = values[~np.isnan(values)]
            if len(values) >= 10:
                half = Z95 * values.std(ddof=1) / math.sqrt(len(values))
                rows.append(
                    (
                        name,
                        -before,
                        values.mean(),
                        values.mean() - half,
                        values.mean() + half,
                        len(values),
                    )
                )
    return pd.DataFrame(
        rows, columns=["measure", "months_before", "mean", "low", "high", "clients"]
    )


def dip_words(frame: pd.DataFrame) -> str:
    """The chart of the months before the decision in words."""
    told = [
        f"{name} {part['mean'].iloc[-1]:+.2f} SD {-part['months_before'].min()} months before and "
        f"{part['mean'].iloc[0]:+.2f} SD {-part['months_before'].max()} months before"
        for name, part in frame.groupby("measure", sort=False)
    ]
    return f"Those who left by choice, against all clients: {'; '.join(told) or 'too few to say'}."


def tipping(panel: Panel) -> list[Contrast]:
    """The difference if those who did not answer liked their rep less than their results let
    expect, by 0 to 2 SD.
    """
    rows = panel.rows
    known = rows.dropna(subset=list(BOTH))
    varied = known["results"].nunique() > 1
    slope, level = (
        np.polyfit(known["results"], known["liking"], 1)
        if varied
        else (0.0, known["liking"].mean())
    )
    guess = level + slope * rows["results"]
    spread = known["liking"].std()
    found = []
    for shift in SHIFTS:
        filled = rows.assign(
            liking=rows["liking"].fillna(guess + shift * spread), silent=rows["silent"].fillna(9)
        )
        name = (
            f"{abs(shift):g} SD less liking"
            if shift
            else "who did not answer rated as its results let expect"
        )
        found.append(liking_difference(panel, filled, name=name))
    return found


def within_and_between(panel: Panel) -> Estimates:
    """Liking taken apart, results held fixed: the rep's other clients and the rest, the client's
    past and the rest.

    The first asks whether liked reps keep clients, the second whether a client that likes its rep
    less than it used to leaves sooner. Ratios per point of the rating, so that the two parts of a
    pair compare.
    """
    rows = panel.rows.dropna(subset=list(BOTH)).reset_index(drop=True)
    past, rep = _past_means(panel, rows)
    pairs = {
        ("the rep's other clients", "the client beside them"): np.where(
            rows["rep"] != "", rep, np.nan
        ),
        ("the client's own past", "the change since"): past,
    }
    found = []
    for names, mean in pairs.items():
        split = rows.assign(usual=mean, change=rows["liking"] - mean)
        for name, column in zip(names, ("usual", "change"), strict=True):
            contrast = lagged_contrast(
                split, ("results",), {column: 1.0}, name, plain=("usual", "change")
            )
            if math.isfinite(contrast.theta):
                found.append(contrast.estimate("A6", "ratio of leaving per point of liking", name))
    return Estimates(
        tuple(found), "Whose liking is it? The rep's with all clients, or this client's"
    )


def _past_means(panel: Panel, rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """For each row, from earlier months alone: the client's mean rating, and that of its rep's
    other clients.
    """
    start = (
        panel.spells["start_date"].dt.year * 12 + panel.spells["start_date"].dt.month
    ).to_numpy()
    who, month = np.nonzero(~np.isnan(panel.liking))
    names = panel.spells["client_id"].to_numpy()
    ratings = {
        "rep": panel.rep[who, month],
        "at": start[who] + month,
        "x": panel.liking[who, month],
    }
    told = pd.DataFrame({"who": names[who], **ratings})
    given = rows["given"] - 1
    asked = pd.DataFrame(
        {"who": names[rows["row"]], "rep": rows["rep"], "at": start[rows["row"]] + given.to_numpy()}
    )
    own, by_rep, both = (_before(told, asked, key) for key in (["who"], ["rep"], ["who", "rep"]))
    with np.errstate(invalid="ignore", divide="ignore"):
        return own[0] / own[1], (by_rep[0] - both[0]) / (by_rep[1] - both[1])


def _before(told: pd.DataFrame, asked: pd.DataFrame, key: list[str]) -> np.ndarray:
    """Sum and number of the ratings with the same `key` in months before each of `asked`; shape (2,
    len(asked)).
    """
    sums = (
        told.groupby([*key, "at"])["x"]
        .agg(["sum", "size"])
        .groupby(level=key)
        .cumsum()
        .reset_index()
    )
    left = asked.assign(order=np.arange(len(asked)), at=asked["at"].astype(float)).sort_values(
        "at", kind="stable"
    )
    right = sums.astype({"at": float}).sort_values("at", kind="stable")
    joined = pd.merge_asof(left, right, on="at", by=key, allow_exact_matches=False).sort_values(
        "order"
    )
    return joined[["sum", "size"]].fillna(0).to_numpy(float).T


def specification_curve(
    panel: Panel, results: pd.DataFrame | None, told: ResultsSettings
) -> list[Contrast]:
    """The difference for each metric in the data and each window of 1, 3 and 6 months, smallest
    first.

    A metric other than the primary one counts as better when higher, unless its name says that it
    is a cost.
    """
    if results is None:
        return []
    found = []
    for metric in sorted(results["metric"].dropna().unique()):
        cost = str(metric).casefold().startswith(COSTS)
        better = told.better if metric == told.primary else "lower" if cost else "higher"
        other = ResultsSettings(primary=str(metric), better=better)
        rows = results[results["metric"] == metric]
        grid = result_grid(np.full_like(panel.liking, np.nan), panel.spells, rows, other)
        for window in (1, WINDOW, 6):
            name = f"{metric}, {window} month{'s' * (window > 1)}"
            found.append(
                liking_difference(
                    panel, lagged_rows(replace(panel, results=grid), window=window), name=name
                )
            )
    return sorted(found, key=lambda contrast: contrast.theta)
