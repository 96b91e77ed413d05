"""The study's claims as data, and the one rule that judges them, fixed before any data are read
(METHODS 1).
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import pandas as pd
from scipy import stats

from retention.contrast import Z95, Contrast, as_ratio
from retention.errors import ConfigError
from retention.numbers import between
from retention.results import DIRECTION, DOES_NOT, HOLDS, NOT_ENOUGH, NOT_RUN, Checks, Verdict
from retention.settings import ClaimChange, study_plan
from retention.words import key_of, say

POWER = 0.8
PLANNED = say("claims.checks.planned")
ABOUT = say("claims.qualifier.about_as_claimed")
SMALLER = say("claims.qualifier.smaller")
REVERSED = say("claims.qualifier.reversed")
TOO_SMALL = say("claims.qualifier.too_small")
# what of a claim says how it is judged
RULE = ("id", "estimand", "scale", "direction", "smallest", "level", "published", "band")
PRIOR_SD = 0.5  # Wakefield's approximate Bayes factor, on the log scale: METHODS 1


@dataclass(frozen=True)
class Claim:
    """One claim and the rule it is judged by; published, smallest and band are on the claim's own
    scale.
    """

    id: str
    question: str
    tier: str
    estimand: str
    scale: str
    direction: str
    smallest: float
    level: float
    published: float | None = None
    band: tuple[float, float] | None = None
    page: str = ""
    by_hand: str = ""
    world: str = ""
    sensitivities: tuple[str, ...] = ()
    words: Mapping[str, str] = field(default_factory=dict)
    answer: Mapping[str, str] = field(default_factory=dict)
    advice: Mapping[str, str] = field(default_factory=dict)

    @property
    def estimand_hash(self) -> str:
        """A short hash of what is estimated, and on which scale."""
        return _hash_of([self.estimand, self.scale, self.direction])

    @property
    def sign(self) -> int:
        """1 where more is claimed, -1 where less is."""
        return 1 if self.direction == "above" else -1

    def signed(self, value: float) -> float:
        """A value of the claim's scale on the scale of the rule: logged if a ratio, claimed
        direction positive.
        """
        return self.sign * (math.log(value) if self.scale == "ratio" else value)

    def shown(self, theta: float) -> float:
        """A (log) parameter back on the claim's own scale."""
        is_ratio = self.scale == "ratio" and not math.isnan(theta)
        return as_ratio(theta) if is_ratio else theta


def load_plan(
    changes: Mapping[str, ClaimChange] | None = None,
) -> tuple[dict[str, Claim], tuple[str, ...]]:
    """The claims by id, and a sentence for each setting of `[plan]` that departs from the study's
    plan.

    ConfigError where `[plan]` names a claim that there is not.
    """
    planned = study_plan()["claims"]
    claims = {name: Claim(id=name, **_frozen(row)) for name, row in planned.items()}
    unknown = [name for name in changes or {} if name not in claims]
    if unknown:
        known = ", ".join(claims)
        names = ", ".join(unknown)
        raise ConfigError(f"[plan] names unknown claims: {names}. There are: {known}.")
    differences = []
    for name, change in (changes or {}).items():
        given = _frozen(change.model_dump(exclude_none=True))
        for key, value in given.items():
            usual = getattr(claims[name], key)
            differences.append(f"Plan, {name}: {key} is {value}; the study's is {usual}.")
        claims[name] = replace(claims[name], **given)
    return claims, tuple(differences)


def _frozen(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}


def plan_hash(claims: Mapping[str, Claim]) -> str:
    """A short hash of every claim and rule in force: the same plan, the same hash."""
    return _hash_of([asdict(claim) for claim in claims.values()])


def rules_hash(claims: Iterable[Claim]) -> str:
    """A short hash of what these claims estimate and how they are judged, however they are
    worded.
    """
    return _hash_of([{name: getattr(claim, name) for name in RULE} for claim in claims])


def _hash_of(what: Any) -> str:
    text = json.dumps(what, sort_keys=True, default=list)
    digest = hashlib.sha256(text.encode())
    return digest.hexdigest()[:16]


CLAIMS, _ = load_plan()


def judge(
    claim: Claim,
    contrast: Contrast,
    sensitivities: Sequence[Contrast] = (),
    caveats: Sequence[str] = (),
    missing: Sequence[str] = (),
    opposed: Sequence[str] = (),
    others: Mapping[str, Sequence[Contrast]] | None = None,
) -> Verdict:
    """The verdict on a claim by the rule stated in advance, from an interval and never from a p
    value.

    `sensitivities` are the pre-listed other ways to compute the same contrast; where one of them
    would be judged differently the verdict is called fragile, as it is where parts of the data are
    `opposed`. `others` are checks of further kinds, by what they are called; where most of a kind
    disagree the verdict is fragile as well. `caveats` about the data are said with the verdict.
    Where inputs are `missing` the claim is not run. Source: METHODS 1.
    """
    if missing:
        return _not_run(claim, tuple(missing))
    upper = (1 + claim.level) / 2
    z = float(stats.norm.ppf(upper))
    word, qualifiers, why = _word(claim, contrast, z)
    checks = _all_checks(claim, contrast, word, sensitivities, opposed, others or {})
    doubts = (*contrast.caveats, *caveats)
    said = (*caveats, *contrast.caveats, *qualifiers)
    verdict = _plain_verdict(claim, contrast, z, word)
    return replace(
        verdict,
        about_as_claimed=_about_as_claimed(claim, word, qualifiers),
        fragile=bool(checks.weak) if sensitivities or others else None,
        why=why,
        qualifiers=(*qualifiers, *doubts),
        flips=checks.planned.names,
        checks=checks.kinds,
        not_computed=tuple(other.name for other in sensitivities if other.gate),
        sentence=_sentence(claim, contrast, word, z, (*doubts, *checks.caveat(word))),
        answer=_answer(claim, contrast, word, (*said, *checks.caveat(word))),
        advice=_chosen(claim.advice, word, said),
    )


def _word(claim: Claim, contrast: Contrast, z: float) -> tuple[str, tuple[str, ...], str]:
    """The verdict's word, its qualifiers and why; what a contrast lacks comes before the rule."""
    if contrast.gate:
        return NOT_ENOUGH, (), " ".join(contrast.gate)
    return _rule(claim, contrast, z)


def _about_as_claimed(claim: Claim, word: str, qualifiers: Sequence[str]) -> bool | None:
    """Whether the effect is about as large as published; None where nobody published or can say."""
    if claim.band is None or word == NOT_ENOUGH:
        return None
    return ABOUT in qualifiers


def _plain_verdict(claim: Claim, contrast: Contrast, z: float, word: str) -> Verdict:
    """The verdict with what is copied from the claim and computed from the contrast alone."""
    copied = ("id", "question", "tier", "estimand", "scale", "level", "published", "page")
    low, high = _limits(claim, contrast, z)
    gated = bool(contrast.gate)
    more = _more_events(claim, contrast, z) if word == NOT_ENOUGH else None
    return Verdict(
        **{name: getattr(claim, name) for name in copied},
        verdict=word,
        about_as_claimed=None,
        fragile=None,
        why="",
        missing=(),
        estimate=claim.shown(contrast.theta),
        low=low,
        high=high,
        n_clients=contrast.n_clients,
        n_events=contrast.n_events,
        interval_95=_limits(claim, contrast, Z95),
        qualifiers=(),
        detectable=_detectable(claim, contrast, z),
        more_events_needed=more,
        would_change=_would_change(claim, word, more, gated),
        bayes_factor=_bayes_factor(contrast),
        gated=gated,
    )


def _detectable(claim: Claim, contrast: Contrast, z: float) -> float:
    """The smallest effect that such data would show in four of five cases, on the claim's scale."""
    quantile = stats.norm.ppf(POWER)
    more = float(quantile) / z
    reach = (1 + more) * contrast.reach(z)
    return claim.shown(claim.sign * reach)


@dataclass(frozen=True)
class _AllChecks:
    """The pre-listed other ways (`planned`), all kinds of which some could be computed, and those
    that make the verdict fragile (`weak`).
    """

    planned: Checks
    kinds: tuple[Checks, ...]
    weak: tuple[Checks, ...]

    def caveat(self, word: str) -> tuple[str, ...]:
        """What is said with the verdict where it is fragile."""
        if not self.weak or word == NOT_ENOUGH:
            return ()
        counted = self.weak[0].words
        return (say("claims.caveat.fragile", counted=counted),)


def _all_checks(
    claim: Claim,
    contrast: Contrast,
    word: str,
    sensitivities: Sequence[Contrast],
    opposed: Sequence[str],
    others: Mapping[str, Sequence[Contrast]],
) -> _AllChecks:
    """Every check of the verdict, counted by kind."""
    planned = _checks(claim, PLANNED, word, sensitivities, [contrast], opposed)
    counted = [contrast, *sensitivities]
    further = [_checks(claim, kind, word, rows, counted) for kind, rows in others.items()]
    kinds = [check for check in (planned, *further) if check.of]
    weak = [check for check in further if 2 * check.disagree > check.of]
    if planned.names:
        weak.insert(0, planned)
    return _AllChecks(planned, tuple(kinds), tuple(weak))


def _checks(
    claim: Claim,
    kind: str,
    word: str,
    rows: Sequence[Contrast],
    counted: Sequence[Contrast],
    opposed: Sequence[str] = (),
) -> Checks:
    """How many of these checks would be judged otherwise than `word`; parts of the data that are
    `opposed` do.

    What could not be computed says nothing about the verdict, and what is the same to the digit as
    one that is `counted` already is no further opinion.
    """
    known = {(other.theta, other.se) for other in counted}
    computed = [other for other in rows if not other.gate and (other.theta, other.se) not in known]
    names = (*(other.name for other in computed if judge(claim, other).verdict != word), *opposed)
    number = len(computed) + len(opposed)
    return Checks(kind, len(names), number, names)


def _chosen(texts: Mapping[str, str], word: str, said: Sequence[str]) -> str:
    """The plan's text for what was said with the verdict where it has one for that, else for its
    word.
    """
    ids = [_name(text) for text in said]
    own = [] if word in (NOT_ENOUGH, NOT_RUN) else ids
    keys = [*own, *(f"{word} + {name}" for name in ids), word]
    return next((texts[key] for key in keys if key in texts), "")


def _answer(claim: Claim, contrast: Contrast, word: str, said: Sequence[str]) -> str:
    """The verdict as a short answer to the claim's question: the title of its page and card."""
    text = _chosen(claim.answer, word, said)
    if word in (NOT_ENOUGH, NOT_RUN):
        return text
    return text.format(estimate=_short(claim.shown(contrast.theta)))


def _short(value: float) -> str:
    """A ratio as a title says it: two digits, and no more than two decimals.

    >>> [_short(value) for value in (38.12, 1.699, 0.593, 0.004)]
    ['38.1', '1.7', '0.59', '0.00']
    """
    return f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def _name(text: str) -> str:
    """The last part of a text's id, whatever its fields hold: `past_only` of a caveat."""
    return key_of(text).partition(":")[0].rpartition(".")[2]


def _not_run(claim: Claim, missing: tuple[str, ...]) -> Verdict:
    """The verdict on a claim whose inputs are absent: what is missing, and no estimate."""
    unknown = Contrast(claim.id, math.nan, math.nan, 0, {})
    blank = judge(claim, unknown)
    blank = replace(
        blank,
        verdict=NOT_RUN,
        missing=missing,
        why=say("claims.why.missing", missing="; ".join(missing)),
    )
    answer = claim.answer.get(NOT_RUN, "")
    return replace(
        blank, more_events_needed=None, would_change="", advice="", sentence="", answer=answer
    )


def _limits(claim: Claim, contrast: Contrast, z: float) -> tuple[float, float]:
    low, high = contrast.interval(z)
    return claim.shown(low), claim.shown(high)


def _edges(claim: Claim) -> tuple[float, float, float]:
    """On the rule's scale: the smallest effect worth acting on, and the band's lower and upper
    edge.
    """
    smallest = claim.signed(claim.smallest)
    low, high = sorted(map(claim.signed, claim.band)) if claim.band else (smallest, math.inf)
    return smallest, low, high


def _rule(claim: Claim, contrast: Contrast, z: float) -> tuple[str, tuple[str, ...], str]:
    """The verdict word, its qualifiers and why: METHODS 1, in its order; the first that fits."""
    limits = contrast.interval(z)
    low, high = sorted(claim.sign * limit for limit in limits)
    smallest, edge, _ = _edges(claim)
    smaller = (SMALLER,) if claim.band and high < edge else ()
    if low > smallest:
        beyond = say("claims.why.beyond", smallest=claim.smallest)
        return HOLDS, (ABOUT,) if _in_band(claim, contrast) else smaller, beyond
    if low > 0:
        why = say("claims.why.not_none", smallest=claim.smallest)
        return DIRECTION, smaller, why
    if high < edge:
        short = "claims.why.short_of_published" if claim.band else "claims.why.short_of_smallest"
        return DOES_NOT, _how_short(high, smallest), say(short)
    interval = between(*_limits(claim, contrast, z), claim.scale)
    wide = "claims.why.wide_band" if claim.band else "claims.why.wide"
    return NOT_ENOUGH, (), say(wide, level=100 * claim.level, interval=interval)


def _in_band(claim: Claim, contrast: Contrast) -> bool:
    """Whether the 90 % interval lies within the published band."""
    _, edge, top = _edges(claim)
    z90 = float(stats.norm.ppf(0.95))
    limits = contrast.interval(z90)
    least, most = sorted(claim.sign * limit for limit in limits)
    return claim.band is not None and least > edge and most < top


def _how_short(high: float, smallest: float) -> tuple[str, ...]:
    """What is said of an effect that falls short: that it is reversed, or too small to act on."""
    if high < 0:
        return (REVERSED,)
    if high < smallest:
        return (TOO_SMALL,)
    return ()


def _more_events(claim: Claim, contrast: Contrast, z: float) -> int:
    """Further ends by choice that would settle it: the gate's shortfall, else if the estimate stays
    where it is.
    """
    if contrast.lacking:
        return 0  # more ends alone would not open it, and what would is said
    if contrast.gate:
        return contrast.short_of
    theta = claim.sign * contrast.theta
    _, edge, _ = _edges(claim)
    # clear of no difference, or short of the published figure
    widest = max(theta, edge - theta)
    times = (contrast.reach(z) / widest) ** 2
    needed = contrast.n_events * (times - 1)
    # no number of ends is told where nothing is known
    return math.ceil(needed) if math.isfinite(needed) else 0


def _would_change(claim: Claim, word: str, more: int | None, gated: bool) -> str:
    """What it would take for another verdict, in a sentence."""
    if word == NOT_ENOUGH and more:
        key = "claims.would_change.opens" if gated else "claims.would_change.settles"
        return say(key, more=more)
    if word == HOLDS:
        return say("claims.would_change.holds", edge=claim.smallest)
    if word == DIRECTION:
        return say("claims.would_change.direction", smallest=claim.smallest)
    if word == DOES_NOT:
        edge = min(claim.band, key=claim.signed) if claim.band else claim.smallest
        return say("claims.would_change.holds", edge=edge)
    return ""


def _bayes_factor(contrast: Contrast) -> float:
    """Wakefield's approximate Bayes factor for a difference against none; a wording aid that
    overrides nothing.
    """
    if not contrast.se > 0:
        return math.nan
    prior = PRIOR_SD**2
    variance = (contrast.reach() / Z95) ** 2
    distance = contrast.theta**2 / variance / 2
    exponent = distance * prior / (variance + prior)
    shrink = math.sqrt(variance / (variance + prior))
    return shrink * math.exp(min(exponent, 700))


def _sentence(claim: Claim, contrast: Contrast, word: str, z: float, caveats: Sequence[str]) -> str:
    """The verdict as a lead sentence with its caveats; where there is not enough data it gives no
    number.
    """
    if word == NOT_ENOUGH:
        return say("claims.sentence.not_enough", question=claim.question)
    if not claim.words:
        return ""
    low, high = contrast.interval(z)
    side = "above" if low > 0 else "below" if high < 0 else "none"
    ids = [_name(text) for text in caveats]
    chosen = next((name for name in ids if name in claim.words), side)
    estimate = f"{claim.shown(contrast.theta):.2f}"
    ratio = f"{math.exp(contrast.theta):.2f}"
    template = claim.words[chosen]
    words = template.format(estimate=estimate, ratio=ratio)
    interval = between(*_limits(claim, contrast, z), claim.scale)
    said = "".join(f"; {text}" for text in caveats)
    level = 100 * claim.level
    return say("claims.sentence.lead", words=words, level=level, interval=interval, caveats=said)


def sensitivity_table(claim: Claim, contrasts: Iterable[Contrast]) -> pd.DataFrame:
    """Each way of computing the contrast beside its own verdict, primary first; empty where none
    can be computed.
    """
    columns = ["choice", "estimate", "low", "high", "clients", "left_by_choice", "verdict"]
    rows = []
    for contrast in contrasts:
        found = judge(claim, contrast)
        interval = (found.estimate, found.low, found.high)
        counts = (found.n_clients, found.n_events)
        rows.append((contrast.name, *interval, *counts, found.words))
    table = pd.DataFrame(rows, columns=columns)
    return table if table["estimate"].notna().any() else table.head(0)
