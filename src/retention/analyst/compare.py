"""How fast clients leave, one group against another, clients alike in the rest; and claims of one's
own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from retention.analyst.asked import Asked, asked
from retention.analyst.groups import QUARTERS
from retention.analyst.result import Result
from retention.claims import judge as rule
from retention.claims.registry import Judged, Ways
from retention.contrast import as_ratio
from retention.data.schema import SIGNING, TABLES
from retention.errors import ConfigError
from retention.frames import chances
from retention.history.held import SIZE, THINGS, things
from retention.history.opportunities import Adjusted, compare, with_why
from retention.history.spells import CLIENT, KINDS
from retention.numbers import between
from retention.results import Estimate, Estimates, Listing, Verdict
from retention.settings import Extra
from retention.show.survival import plot_effects
from retention.words import Said, say, together

COLUMNS = ["group", "ratio", "low", "high", "clients", "ends", "adjusted_for", "why"]
# the blocks of our own that a column stands for, and the other way round
BLOCK_OF = {SIZE: "size"}
OWN_BLOCKS = tuple(name for name in THINGS if name != "contract")
USUAL = "usual"  # of adjusted_for: what the study's own claims hold fixed
KINDS_HELD = {"id": "category", "term": "number"}
HELD = ("category", "flag", "number", "integer")


@dataclass(frozen=True)
class Question:
    """Who is compared with whom (`of`, `against`: as `by` of the verbs, giving true or false), and
    what is held fixed.
    """

    of: Any
    against: Any = None
    adjusted_for: Sequence[str] | str = USUAL
    called: str = ""
    others: str = ""

    @property
    def names(self) -> tuple[str, str]:
        """What the two groups are called."""
        own = self.called or (self.of if isinstance(self.of, str) else say("analyst.group.yes"))
        plain = self.against if isinstance(self.against, str) else say("analyst.ratio.others")
        return str(own), str(self.others or plain)


def ratio(
    study: Any,
    of: Any,
    against: Any = None,
    *,
    adjusted_for: Sequence[str] | str = USUAL,
    by: Any = None,
    where: Any = None,
    ends: str = CLIENT,
    cuts: Sequence[float] = QUARTERS,
) -> Result:
    """How many times as fast some clients leave as others: a hazard ratio over chances to leave.

    A chance is a month of a month-to-month client or a whole term of a fixed one, so that lock-in
    does not count as loyalty.

    Parameters
    ----------
    study, by, where, cuts, ends
        As of `survival`; a ratio for each group of `by`.
    of, against : column or expression that gives true or false
        Whom to compare; `against` is everybody else unless given.
    adjusted_for : list of str
        Columns known at signing, "calendar_time" or "half_year"; by default what the study's own
        claims adjust for, () for nothing.

    Returns
    -------
    Result
        `.frame` has `group, ratio, low, high, clients, ends, adjusted_for, why` (what it lacks).

    Examples
    --------
    >>> found = retention.ratio(study, of="prepaid", adjusted_for=["monthly_ad_spend"])
    >>> found.frame["adjusted_for"].tolist()
    ['monthly_ad_spend']
    """
    everybody = asked(study, where)
    question = Question(of, against, adjusted_for)
    parts = everybody.parts(by, cuts)
    found = {name: adjusted(part, question, ends) for name, part in parts}
    rows = [_row(name, one) for name, one in found.items()]
    frame = pd.DataFrame(rows, columns=COLUMNS)
    estimates = [
        one.contrast.estimate("own", say("analyst.ratio.about"), name)
        for name, one in found.items()
        if not one.contrast.gate
    ]
    own, other = question.names
    caption = say("analyst.ratio.caption", of=own, against=other)
    sentence = _ratio_words(question, found, estimates)
    return Result(frame, sentence, Estimates(tuple(estimates), caption), partial(_draw, frame))


def adjusted(part: Asked, question: Question, ends: str = CLIENT, name: str = "") -> Adjusted:
    """The comparison of the two groups on the chances to leave of these clients."""
    study = part.opened
    first = part.marked(question.of)
    second = ~first if question.against is None else part.marked(question.against)
    spells = part.spells.assign(asked_first=first, asked_second=second & ~first)
    kinds = tuple(KINDS) if ends == "every" else (ends,)
    rows = chances(spells, study.contracts, kinds)
    fixed = _fixed(part, question.adjusted_for)
    return compare(
        rows,
        rows["asked_first"],
        question.names,
        name=name or say("analyst.ratio.adjusted_way"),
        second=rows["asked_second"],
        leave_out=fixed.leave_out,
        extra=fixed.extra,
        adjust=fixed.adjust,
    )


@dataclass(frozen=True)
class Fixed:
    """What a comparison is to hold fixed: our own blocks but for `leave_out`, and columns."""

    adjust: bool
    leave_out: tuple[str, ...] = ()
    extra: dict[str, Extra] = field(default_factory=dict)


def _fixed(part: Asked, named: Sequence[str] | str) -> Fixed:
    """What is to be held fixed; ConfigError where a name is no column known at signing."""
    study = part.opened
    if isinstance(named, str) and named == USUAL:
        return Fixed(True, (), study.at_signing)
    names = [named] if isinstance(named, str) else list(named)
    if not names:
        return Fixed(False)
    columns = _columns(part)
    unknown = [name for name in names if name not in columns and name not in OWN_BLOCKS]
    if unknown:
        known = ", ".join([*columns, *OWN_BLOCKS])
        text = "analyst.refused.no_such_adjustment"
        raise ConfigError(say(text, names=", ".join(unknown), known=known))
    later = [name for name in names if name in columns and columns[name].known != SIGNING]
    if later:
        text = "analyst.refused.adjusted_for_outcome"
        raise ConfigError(say(text, names=", ".join(later)))
    blocks = [BLOCK_OF.get(name, name) for name in names]
    leave_out = tuple(name for name in OWN_BLOCKS if name not in blocks)
    extra = {name: columns[name] for name in names if BLOCK_OF.get(name, name) not in OWN_BLOCKS}
    return Fixed(True, leave_out, extra)


def _columns(part: Asked) -> dict[str, Extra]:
    """The columns of the clients that could be held fixed, and when each is known."""
    found = {}
    for about in TABLES["clients"].columns:
        kind = KINDS_HELD.get(about.kind, about.kind)
        if about.name in part.rows and kind in HELD and about.name != "client_id":
            found[about.name] = Extra(kind=kind, known=about.known)  # type: ignore[arg-type]
    return found | dict(part.opened.settings.table("clients").extra)


def _row(name: str, found: Adjusted) -> tuple[Any, ...]:
    contrast = found.contrast
    values = [as_ratio(value) for value in (contrast.theta, *contrast.interval())]
    held = ", ".join(_named(block) for block in found.held)
    why = " ".join(contrast.gate)
    return name, *values, contrast.n_clients, contrast.n_events, held, why


def _named(block: str) -> str:
    """The column that a block of ours stands for, else the block itself."""
    columns = {name: column for column, name in BLOCK_OF.items()}
    return columns.get(block, block)


def _ratio_words(question: Question, found: dict[str, Adjusted], rows: Sequence[Estimate]) -> Said:
    """The ratio in a sentence, without a direction where its interval includes none; of several
    groups the lowest and the highest.
    """
    own, other = question.names
    fields = {"of": own, "against": other}
    contrasts = [one.contrast for one in found.values()]
    if not rows:
        gates = [" ".join(contrast.gate) for contrast in contrasts if contrast.gate]
        return say("analyst.ratio.none", **fields, why=gates[0] if gates else "")
    if len(rows) > 1:
        ordered = sorted(rows, key=lambda row: row.estimate)
        return say(
            "analyst.ratio.several",
            **fields,
            low=ordered[0].words,
            least=ordered[0].group,
            high=ordered[-1].words,
            most=ordered[-1].group,
        )
    row = rows[0]
    key = "analyst.ratio.unclear" if row.low <= 1 <= row.high else "analyst.ratio.clear"
    interval = between(row.low, row.high, "ratio")
    lead = say(key, **fields, ratio=row.estimate, interval=interval)
    return together(lead, _held_words(next(iter(found.values()))))


def _held_words(found: Adjusted) -> str:
    """What the comparison is adjusted for, and what was asked for and has no place."""
    held = say("analyst.ratio.adjusted", things=things(found.held)) if found.held else ""
    if not found.refused:
        return held
    left_out = say("held.caveat.left_out", things=with_why(found.refused))
    return " ".join(filter(None, (held, f"{left_out[:1].upper()}{left_out[1:]}.")))


def _draw(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    rows = frame.rename(columns={"group": "choice", "ratio": "estimate"})
    known = rows[(rows["why"] == "") & np.isfinite(rows["high"])]
    return plot_effects(known, ax=ax)


@dataclass(frozen=True)
class Claim:
    """A claim of one's own, to be judged by the rule of the study (METHODS 1).

    Parameters
    ----------
    question : str
        What is asked, as the heading.
    of, against, adjusted_for
        As of `ratio`.
    smallest : float
        The smallest ratio worth acting on: above 1 where they are said to leave sooner, below 1
        where they are said to stay longer.
    level : float
        The level of the interval that judges.

    Examples
    --------
    >>> from retention import Claim
    >>> Claim("Do prepaid clients stay longer?", of="prepaid", smallest=0.8).direction
    'below'
    """

    question: str
    of: Any
    smallest: float
    against: Any = None
    adjusted_for: Sequence[str] | str = USUAL
    level: float = 0.95

    def __post_init__(self) -> None:
        if not self.smallest > 0 or self.smallest == 1:
            raise ValueError(say("analyst.refused.smallest", smallest=self.smallest))

    @property
    def direction(self) -> str:
        """Which side of no difference is claimed: above (sooner) or below (longer)."""
        return "above" if self.smallest > 1 else "below"

    @property
    def asks(self) -> Question:
        """Who is compared with whom."""
        return Question(self.of, self.against, self.adjusted_for)

    @property
    def planned(self) -> rule.Claim:
        """The claim as the rule takes it."""
        own, other = self.asks.names
        # the rule fills in the estimate
        fields = {"of": own, "against": other, "estimate": "{estimate}"}
        clear = say("analyst.claim.above", **fields)
        none = say("analyst.claim.none", **fields)
        answers = {
            "holds": say("analyst.claim.holds", **fields),
            "holds in direction only": say("analyst.claim.direction", **fields),
            "does not hold": say("analyst.claim.does_not", **fields),
            "not enough data": say("analyst.claim.not_enough"),
        }
        return rule.Claim(
            id=say("analyst.claim.tier"),
            question=self.question,
            tier=say("analyst.claim.tier"),
            estimand=say("analyst.claim.estimand", of=own, against=other),
            scale="ratio",
            direction=self.direction,
            smallest=self.smallest,
            level=self.level,
            words={"above": clear, "below": clear, "none": none},
            answer=answers,
        )


@dataclass(frozen=True, repr=False)
class Judgment(Result):
    """A judged claim: what `Result` has, and the `verdict` in full."""

    verdict: Verdict | None = None


def judge(study: Any, claim: Any, *, where: Any = None) -> Judgment:
    """The verdict on a claim, of the study (A1, A4, ...) or of one's own, by the study's rule.

    Parameters
    ----------
    study : Study or frame
        As of `survival`.
    claim : str or Claim
        The id of a claim of the study, or a claim of one's own.
    where : column or expression, optional
        Which clients, for a claim of one's own.

    Returns
    -------
    Judgment
        `.frame` has the claim as planned and every other way to compute it, each with its verdict;
        `.verdict` is the verdict in full.

    Examples
    --------
    >>> own = retention.Claim("Do prepaid clients stay longer?", of="prepaid", smallest=0.8)
    >>> retention.judge(study, own).verdict.verdict
    'not enough data'
    """
    of = asked(study, where)
    if isinstance(claim, str):
        return _judged(_planned(of, claim))
    if not isinstance(claim, Claim):
        raise ValueError(say("analyst.refused.not_a_claim"))
    return _judged(_own(of, claim))


def _planned(of: Asked, name: str) -> Judged:
    """A claim of the study as it stands; ValueError where there is none of that id."""
    opened = of.opened
    if name not in opened.claims:
        names = ", ".join(opened.claims)
        raise ValueError(say("analyst.refused.no_claim", claim=name, names=names))
    return opened.judge(name)


def _own(of: Asked, claim: Claim) -> Judged:
    """A claim of one's own, with the ways to compute it that every claim of the kind has."""
    asks = claim.asks
    primary = adjusted(of, asks).contrast
    plain = replace(asks, adjusted_for=())
    ways = [adjusted(of, asks, "every", say("analyst.ratio.every_way")).contrast]
    if claim.adjusted_for:
        not_adjusted = adjusted(of, plain, CLIENT, say("analyst.ratio.plain_way"))
        ways.insert(0, not_adjusted.contrast)
    return Judged(claim.planned, Ways(primary, ways), of.opened.caveats)


def _judged(found: Judged) -> Judgment:
    verdict = found.verdict
    card = str(found._repr_mimebundle_()["text/html"])
    table = found.table
    formats = dict.fromkeys(("estimate", "low", "high"), ".2f")
    listing = Listing(table, say("analyst.claim.caption"), formats)
    sentence = verdict.answer or verdict.sentence
    scale = found.claim.scale
    draw = partial(_draw_ways, table, found.claim.published, scale)
    return Judgment(table, sentence, listing, draw, card, verdict)


def _draw_ways(
    table: pd.DataFrame, published: float | None, scale: str, ax: Axes | None = None
) -> Axes:
    return plot_effects(table, published, scale, ax=ax)
