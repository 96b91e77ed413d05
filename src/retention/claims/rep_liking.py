"""Liking of the rep against results (A6), and the NPS class (A10): what goes with leaving some
months later?

Both measures come from before the decision, because a client who has decided rates lower; both are
per standard deviation, in one model, so that they can be compared. Source: METHODS 4.
"""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import statsmodels.api as sm
from scipy import stats
from sklearn.linear_model import LogisticRegression

from retention.claims.measurement import TOO_FEW, Corrected, corrected
from retention.history.features import DETRACTOR, PROMOTER
from retention.history.panel import (
    Panel,
    design,
    in_deviations,
    lagged_contrast,
    lagged_contrasts,
    lagged_rows,
    wider,
)
from retention.history.spells import AGENCY, CLIENT
from retention.results import (
    MIN_EVENTS_GROUP,
    Z95,
    Contrast,
    Estimate,
    Estimates,
    Finding,
    as_ratio,
    between,
)
from retention.stats.hazards import BOOTSTRAP_FROM, NotFittedError
from retention.words import say

BOTH = ("liking", "results")
DIFFERENCE = {
    "results": 1.0,
    "liking": -1.0,
}  # both negative where they protect: above 0, liking protects more
PRIMARY = 1 - 2 * 0.05 / 3  # level of a primary claim's interval: METHODS 1
Z_PRIMARY = float(stats.norm.ppf((1 + PRIMARY) / 2))
LAGS = (1, 2, 3, 6)
QUANTILES = (0.025, 0.975)
MIN_CLUSTERS = 10  # METHODS 1: with fewer reps nothing clustered by them is trusted
MIN_RESPONSE = 0.40  # METHODS 1, the gate of claim 3
THIRDS = ("low", "middle", "high")
PARTS = {"monthly clients alone": True, "fixed terms alone": False}
NEEDS = {
    "liking": "ratings of the rep (column rep_liking of the table surveys)",
    "nps": "answers to the question of recommendation (column nps of the table surveys)",
    "results": "results (table results, and which metric counts: [results] primary and better in "
    "retention.toml)",
}
WITHOUT_ERROR = "corrected for measurement error of both"
NOTHING_KNOWN = (
    10.0  # (ours) standard error, on the log hazard, of a difference that cannot be told at all
)
SHAPE_LEVEL = 0.95  # (ours) of the test of the shape of results: false finds in one of twenty
ENDS = (0.1, 0.9)  # (ours) quantiles of results at which their slope is looked at
BOTH_ENDS = say("claims.caveat.both_ends")
BENT = say("claims.caveat.bent")
OPPOSITE = say("claims.caveat.opposite")
LIKING_HARMS = say("claims.caveat.liking_harms")
LIKING_UNCLEAR = say("claims.caveat.liking_unclear")
RESULTS_HARM = "better results go with leaving here"


def liking_difference(
    panel: Panel, rows: pd.DataFrame | None = None, *, name: str = "as planned"
) -> Contrast:
    """Effect of results minus effect of liking, each per standard deviation on the log hazard;
    above 0, liking wins.

    Liking that goes with leaving sooner can never win, however results do: then minus its own
    effect is judged where that is smaller. A wrong sign of either is said where its own interval is
    clear of none. The gate also asks that 40 % of invitations were answered. METHODS 1 and 4.
    """
    rows = panel.rows if rows is None else rows
    few = (
        f"Only {panel.response:.0%} of invitations were answered; at least {MIN_RESPONSE:.0%} "
        "are needed."
    )
    lacking = () if panel.response >= MIN_RESPONSE else (few,)
    effects = [{"liking": 1.0}, {"results": 1.0}, DIFFERENCE]
    return _signed(*lagged_contrasts(rows, BOTH, effects, name, lacking=lacking, level=PRIMARY))


def _signed(liking: Contrast, results: Contrast, difference: Contrast) -> Contrast:
    """The difference with what must be said where liking or results do not protect."""
    said = (RESULTS_HARM,) if results.interval(Z_PRIMARY)[0] > 0 else ()
    if not liking.theta > 0:
        return replace(difference, caveats=said)
    worst = min(
        (replace(liking, theta=-liking.theta), difference), key=lambda contrast: contrast.theta
    )
    clear = liking.interval(Z_PRIMARY)[0] > 0
    return replace(worst, caveats=(LIKING_HARMS if clear else LIKING_UNCLEAR, *said))


def liking_sensitivities(panel: Panel) -> list[Contrast]:
    """The pre-listed other ways to compute the difference (plan.toml, A6), each named."""
    rows = panel.rows
    return [
        liking_difference(panel, lagged_rows(panel, lag=panel.lag + 1), name="a month earlier"),
        liking_difference(panel, lagged_rows(panel, window=1), name="results of one month"),
        liking_difference(panel, lagged_rows(panel, window=6), name="results of six months"),
        liking_difference(
            panel, lagged_rows(panel, unknown=AGENCY), name="unknown choice counts as the agency's"
        ),
        liking_difference(panel, answer_weights(rows), name="weighted for who answers"),
        without_error(panel, rows),
    ]


def opposite_parts(panel: Panel) -> tuple[str, ...]:
    """Why the verdict is fragile where monthly clients and fixed terms point opposite ways (METHODS
    4); else empty.
    """
    rows = panel.rows
    found = [liking_difference(panel, rows[rows["free"] == free]) for free in PARTS.values()]
    told = [contrast.theta for contrast in found if not contrast.gate]
    return (OPPOSITE,) if len(told) == len(PARTS) and told[0] * told[1] < 0 else ()


def who_answers(panel: Panel) -> pd.DataFrame:
    """Opportunities to leave, ends by choice, and how many have a rating, results and both, by kind
    of row.
    """
    rows = panel.rows
    kinds = {"monthly, free to leave": rows[rows["free"]], "whole fixed terms": rows[~rows["free"]]}
    table = []
    for kind, part in kinds.items():
        both = part[list(BOTH)].notna().all(axis=1)
        left = part["left"]
        shares = (part["liking"].notna().mean(), both.mean())
        table.append(
            (
                kind,
                part["client_id"].nunique(),
                len(part),
                int(left.sum()),
                *shares,
                int(left[both].sum()),
            )
        )
    counts = ["Clients", "Opportunities", "Left by choice"]
    parts = ["With a rating", "With both", "Left, with both"]
    return pd.DataFrame(table, columns=["Kind of row", *counts, *parts])


def effects(panel: Panel) -> Estimates:
    """Ratio of leaving per standard deviation more of each, and their difference: both kinds of
    rows, each, and lags.

    Quantities in rows, ways of computing in columns; a way in which too few left to fit is left
    out.
    """
    rows = panel.rows
    ways = {"as planned": rows} | {name: rows[rows["free"] == free] for name, free in PARTS.items()}
    ways |= {
        f"{lag} month{'s' * (lag > 1)} before": lagged_rows(panel, lag=lag)
        for lag in LAGS
        if lag != panel.lag
    }
    found = []
    for group, part in ways.items():
        try:
            made = design(part, BOTH)
            fit = made.fit()
            used = made.rows
        except NotFittedError:
            continue
        if used["left"].sum() < MIN_EVENTS_GROUP:
            continue  # so few are described, not compared
        counts = (used["client_id"].nunique(), int(used["left"].sum()))
        for about, parts in (
            *((f"{what}, ratio per SD", {what: 1.0}) for what in BOTH),
            ("difference", DIFFERENCE),
        ):
            theta, se = wider(fit, parts, used)
            numbers = [theta + k * Z95 * se for k in (0, -1, 1)]
            unit = "difference" if about == "difference" else "ratio"
            shown = numbers if unit == "difference" else [as_ratio(number) for number in numbers]
            found.append(Estimate.of("A6", about, group, shown, unit, counts))
    return Estimates(
        tuple(found),
        "Leaving per standard deviation more of each, and results' effect minus liking's",
    )


def ways_of_interval(panel: Panel, seed: int = 1) -> Estimates:
    """The difference with its 95 % interval by client and by rep, each by formula and by resampling
    (one step).
    """
    caption = "The difference, with other ways to its interval"
    try:
        made = design(panel.rows, BOTH)
        fit = made.fit()
    except NotFittedError:
        return Estimates((), caption)
    at = [fit.names.index(name) for name in DIFFERENCE]
    counts = (fit.n_clusters, int(made.rows["left"].sum()))
    found = []
    for label, codes in (("by client", fit.cluster), ("by rep", pd.factorize(made.rows["rep"])[0])):
        if codes.max() + 1 < MIN_CLUSTERS:
            continue
        theta, se = fit.combined(DIFFERENCE, codes)
        z = Z95 if label == "by client" else stats.t.ppf(0.975, codes.max())
        draws = replace(fit, cluster=codes).draws(1000, seed)[:, at] @ list(DIFFERENCE.values())
        ways = {
            "formula": (theta - z * se, theta + z * se),
            "resampled": np.nanquantile(draws, QUANTILES),
        }
        for way, limits in ways.items():
            found.append(
                Estimate.of(
                    "A6", "difference", f"{label}, {way}", (theta, *limits), "difference", counts
                )
            )
    return Estimates(tuple(found), caption)


def total_and_direct(panel: Panel) -> Estimates:
    """Results with and without liking in the model: what goes through liking is in the one and not
    in the other.
    """
    rows = panel.rows.dropna(subset=list(BOTH))
    ways = {"total: liking left free": ("results",), "direct: liking held fixed": BOTH}
    found = [
        (name, lagged_contrast(rows, columns, {"results": 1.0}, name))
        for name, columns in ways.items()
    ]
    found += [("liking, results held fixed", lagged_contrast(rows, BOTH, {"liking": 1.0}, ""))]
    told = [
        c.estimate("A6", "ratio of leaving per SD", name)
        for name, c in found
        if math.isfinite(c.theta)
    ]
    return Estimates(tuple(told), "Results with and without their way through liking")


def total_words(panel: Panel, seed: int = 1) -> Finding:
    """Whether results matter more than liking once what goes through liking is counted as theirs:
    with its interval.

    The total effect of results less the effect of liking, both regressions on the same resamples of
    clients.
    """
    unknown = Finding("A6", "Whether results work through liking cannot be told on these data.")
    if liking_difference(panel).gate:
        return unknown
    made = design(panel.rows, BOTH)
    try:
        both = made.fit()
        total = made.fit(without=["liking"])
    except NotFittedError:
        return unknown
    pair = ((total, "results"), (both, "liking"))
    effect, own = (
        np.append(f.coefficient(x), f.draws(1000, seed)[:, f.names.index(x)]) for f, x in pair
    )
    gap = effect - own
    low, high = np.nanquantile(gap[1:], QUANTILES)
    start = "Counting what goes through liking as theirs,"
    interval = f"{gap[0]:.2f} (95% confidence interval {between(low, high, 'difference')})"
    if low <= 0 <= high:
        return Finding("A6", f"{start} no clear difference between results and liking: {interval}.")
    word = "less" if low > 0 else "more"
    return Finding(
        "A6",
        f"{start} results go with staying {word} than liking does: difference of effects "
        f"{interval}.",
    )


def carried_over(panel: Panel) -> Estimates:
    """What a month's liking and results owe to those of the month before (linear, per SD, by
    client).
    """
    scaled = {name: in_deviations(getattr(panel, name)) for name in BOTH}
    before = np.stack([grid[:, :-1].ravel() for grid in scaled.values()], axis=1)
    who = np.repeat(np.arange(len(panel.spells)), panel.liking.shape[1] - 1)
    found = []
    for name, grid in scaled.items():
        now = grid[:, 1:].ravel()
        whole = ~np.isnan(now) & ~np.isnan(before).any(axis=1)
        if whole.sum() < BOOTSTRAP_FROM:
            continue
        clusters = {"groups": who[whole]}
        fit = sm.OLS(now[whole], sm.add_constant(before[whole])).fit(
            cov_type="cluster", cov_kwds=clusters
        )
        for k, (earlier, limits) in enumerate(zip(BOTH, fit.conf_int()[1:], strict=True), 1):
            names = (f"{name} this month", f"{earlier} the month before")
            counts = (len(np.unique(who[whole])), 0)
            found.append(Estimate.of("A6", *names, (fit.params[k], *limits), "", counts))
    return Estimates(
        tuple(found), "What carries over: standard deviations per standard deviation a month before"
    )


def liking_by_results(panel: Panel) -> pd.DataFrame:
    """Ends over those expected (tenure, term and size alike), by third of liking (rows) and of
    results (columns).
    """
    try:
        made = design(panel.rows.dropna(subset=list(BOTH)), ())
        fit = made.fit()
        used = made.rows
    except NotFittedError:
        return pd.DataFrame()
    thirds = {name: _thirds(used[name]) for name in BOTH}
    table = used.assign(
        expected=-np.expm1(-fit.expected),
        **{f"{name}_third": third for name, third in thirds.items()},
    )
    sums = table.groupby([f"{name}_third" for name in BOTH], observed=False)[
        ["left", "expected"]
    ].sum()
    frame = (sums["left"] / sums["expected"]).unstack().reindex(index=THIRDS, columns=THIRDS)
    ends = sums["left"].unstack().reindex(index=THIRDS, columns=THIRDS)
    shown = frame.map("{:.2f}".format) + ends.map(lambda n: f" ({n:,.0f} left)")
    shown = shown.mask(frame.isna(), "none")
    shown.columns = [f"{name} results" for name in shown.columns]
    return shown.rename_axis("Liking of the rep").reset_index()


def _thirds(values: pd.Series) -> pd.Series:
    """The third of each value; values that tie stay together, so thirds of whole-number ratings
    differ in size.
    """
    edges = values.quantile([1 / 3, 2 / 3]).to_numpy()
    return pd.Series(np.array(THIRDS)[np.searchsorted(edges, values, side="left")], values.index)


def interaction(panel: Panel) -> Estimates:
    """Whether results matter less where the rep is liked less: ratio of the two effects per SD of
    both.
    """
    rows = panel.rows.dropna(subset=list(BOTH))
    scaled = (rows[list(BOTH)] - rows[list(BOTH)].mean()) / rows[list(BOTH)].std()
    rows = rows.assign(product=scaled["liking"] * scaled["results"])
    found = lagged_contrast(rows, BOTH, {"product": 1.0}, "", plain=("product",))
    told = (
        [found.estimate("A6", "liking times results", "ratio per SD of both")]
        if math.isfinite(found.theta)
        else []
    )
    return Estimates(
        tuple(told), "Do results matter more where the rep is liked? Below one: they do"
    )


def results_shape(panel: Panel) -> list[Contrast]:
    """The bend of results, and their slopes at the tenth and at the ninetieth percentile; log
    hazard.

    The square of results stands beside their slope in the planned regression, per standard
    deviation. Above 0, leaving grows towards both ends more than the slope says. The wider of
    client and rep, at `SHAPE_LEVEL`.
    """
    rows = panel.rows.dropna(subset=list(BOTH))
    scaled = (rows["results"] - rows["results"].mean()) / rows["results"].std()
    low, high = scaled.quantile(list(ENDS)) if len(rows) else ENDS
    sums = [{"bend": 1.0}, *({"results": 1.0, "bend": 2 * end} for end in (low, high))]
    bent = rows.assign(bend=scaled**2)
    return lagged_contrasts(
        bent, BOTH, sums, "shape of results", plain=("bend",), level=SHAPE_LEVEL
    )


def shape_caveats(panel: Panel) -> tuple[str, ...]:
    """What a slope of results does not show, for the verdict: empty unless the test of shape finds
    it.
    """
    bend, low, high = results_shape(panel)
    if bend.gate:
        return ()
    z = float(stats.norm.ppf((1 + SHAPE_LEVEL) / 2))
    if bend.interval(z)[0] > 0 and low.theta < 0 < high.theta:
        return (BOTH_ENDS,)
    return (BENT,) if bend.interval(z)[0] > 0 or bend.interval(z)[1] < 0 else ()


def shape_words(panel: Panel) -> Finding:
    """Whether leaving goes with results along a line or at both ends, in a sentence."""
    bend, low, high = results_shape(panel)
    if bend.gate:
        return Finding("A6", "Whether results matter at both ends cannot be told on these data.")
    found = shape_caveats(panel)
    slopes = (
        f"at the poorest tenth {as_ratio(low.theta):.2f} times per standard deviation better "
        "results"
    )
    slopes += f", at the best tenth {as_ratio(high.theta):.2f} times"
    if BOTH_ENDS in found:
        text = (
            "Results matter at both ends: clients with the poorest and with the best results "
            "leave more often than "
        )
        return Finding("A6", f"{text}those between ({slopes}). A single slope does not show it.")
    if found:
        return Finding(
            "A6", f"Results do not matter alike everywhere: the rate of leaving changes {slopes}."
        )
    ratio, lowest, highest = (as_ratio(x) for x in (bend.theta, *bend.interval()))
    interval = f"95% confidence interval {between(lowest, highest, 'ratio')}"
    text = "No clear bend in how leaving goes with results"
    return Finding("A6", f"{text}: {ratio:.2f} times per squared standard deviation ({interval}).")


def answer_weights(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with a `weight`: how much more a row counts whose like seldom answer, by results,
    size, term, tenure.

    Stabilised and cut at the hundredth on either side (METHODS 4). Liking itself may decide who
    answers: see `tipping`.
    """
    known = rows.dropna(subset=["results"])
    X = pd.DataFrame(
        {"results": known["results"], "size": np.log(known["monthly_ad_spend"].clip(lower=1))}
    )
    X = X.assign(
        fixed=(known["term_months"] > 1).astype(float),
        tenure=np.log1p(known["from_month"].astype(float)),
    )
    answered = known["liking"].notna().astype(float)
    if answered.nunique() < 2:
        return rows
    X = (X - X.mean()) / X.std().replace(0, 1)
    chance = LogisticRegression().fit(X, answered).predict_proba(X)[:, 1]
    weight = answered.mean() / pd.Series(chance, known.index)
    return known.assign(weight=weight.clip(*weight.quantile([0.01, 0.99])))


def without_error(
    panel: Panel, rows: pd.DataFrame | None = None, name: str = WITHOUT_ERROR
) -> Contrast:
    """The difference as it would be if ratings and results were both measured without error.

    Where the errors leave nothing to tell the two apart, the estimate as measured with a standard
    error that says so: the verdict as measured then rests on the measures alone. METHODS 4.
    """
    rows = panel.rows if rows is None else rows
    planned = liking_difference(panel, rows, name=name)
    if planned.gate:
        return planned
    try:
        found = _corrected(panel, rows)
    except ValueError as error:
        return replace(planned, lacking=(str(error),))
    if not found.known:
        return replace(planned, se=NOTHING_KNOWN, caveats=())
    each = zip(found.theta, found.se, strict=True)
    return _signed(*(replace(planned, theta=float(theta), se=float(se)) for theta, se in each))


def _corrected(panel: Panel, rows: pd.DataFrame) -> Corrected:
    """Effects and reliabilities of the planned regression. ValueError, NotFittedError."""
    made = design(rows, BOTH)
    return corrected(panel, made, made.fit(), PRIMARY)


def reliabilities(panel: Panel) -> Estimates:
    """How much of each measure repeats, and the effects as measured and without error; empty if not
    known.
    """
    caption = "What is measured, and what it would be without error of measurement"
    planned = liking_difference(panel)
    if planned.gate:
        return Estimates((), caption)
    try:
        found = _corrected(panel, panel.rows)
    except ValueError:
        return Estimates((), f"{caption}: {TOO_FEW}")
    counts = (planned.n_clients, planned.n_events)
    told = [
        _told(
            f"{name}: share of the variance that repeats",
            "as measured",
            found.reliable[k],
            found.reliable_se[k],
            "share",
            counts,
        )
        for k, name in enumerate(BOTH)
    ]
    told.append(
        _told(
            "difference of the two effects",
            "as measured",
            planned.theta,
            planned.se,
            "difference",
            counts,
        )
    )
    if found.known:
        told.append(
            _told(
                "difference of the two effects",
                "without error",
                found.theta[2],
                found.se[2],
                "difference",
                counts,
            )
        )
    return Estimates(tuple(told), caption)


def _told(
    name: str, group: str, value: float, se: float, unit: str, counts: tuple[int, int]
) -> Estimate:
    """An estimate with its 95 % interval, a share kept between 0 and 1."""
    limits = [value, value - Z95 * se, value + Z95 * se]
    if unit == "share":
        limits = [min(max(limit, 0.0), 1.0) for limit in limits]
    return Estimate.of("A6", name, group, limits, unit, counts)


def measured_words(panel: Panel) -> Finding:
    """How far each measure repeats, whom its error favours, and the difference without error, in
    sentences.
    """
    rows = reliabilities(panel).rows
    if not rows:
        return Finding(
            "A6", f"{TOO_FEW} Noise in results favours liking, noise in ratings favours results."
        )
    share = [
        f"{row.estimate:.0%} (95% confidence interval {row.low:.0%} to {row.high:.0%})"
        for row in rows[:2]
    ]
    text = (
        f"The verdict is about both as measured. Of the variance of ratings {share[0]} repeats, "
        "of that of results "
        f"{share[1]}; the rest is noise. Noise in results favours liking, noise in ratings "
        "favours results."
    )
    if len(rows) < 4:
        return Finding(
            "A6", f"{text} So much is noise that the difference without it cannot be estimated."
        )
    plain, true = (f"{r.estimate:.2f} ({between(r.low, r.high, 'difference')})" for r in rows[2:])
    return Finding(
        "A6", f"{text} The difference is {plain} as measured and {true} corrected for both."
    )


def detractor_ratio(
    panel: Panel, *, lag: int = 0, unknown: str = CLIENT, name: str = "as planned"
) -> Contrast:
    """Log ratio of leaving, detractors (6 and below) over promoters (9 and 10), the class lagged
    like liking (A10).
    """
    rows = lagged_rows(panel, lag=lag, unknown=unknown, rating="nps").dropna(subset=["nps"])
    nps = rows["nps"]
    classes = {
        "detractor": nps <= DETRACTOR,
        "promoter": nps >= PROMOTER,
        "passive": nps.between(7, 8),
    }
    rows = rows.assign(**{name: those.astype(float) for name, those in classes.items()})
    plain: tuple[str, ...] = ("detractor", "passive")
    groups = {"detractor": "detractors", "promoter": "promoters"}
    if not rows.loc[
        rows["passive"] == 1, "left"
    ].sum():  # nobody there to compare with, or none of them left
        rows = rows[rows["passive"] == 0]
        plain = ("detractor",)
    return lagged_contrast(rows, (), {"detractor": 1.0}, name, plain=plain, groups=groups)


def detractor_sensitivities(panel: Panel) -> list[Contrast]:
    """The pre-listed other ways to compute the ratio of detractors over promoters (plan.toml,
    A10).
    """
    return [
        detractor_ratio(panel, lag=panel.lag + 1, name="a month earlier"),
        detractor_ratio(panel, unknown=AGENCY, name="unknown choice counts as the agency's"),
    ]


def missing(panel: Panel, *needed: str) -> list[str]:
    """What the comparison lacks in these data, in plain words; `needed` are some of liking,
    results, nps.
    """
    return [NEEDS[name] for name in needed or BOTH if np.isnan(getattr(panel, name)).all()]
