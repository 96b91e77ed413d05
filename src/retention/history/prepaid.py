"""Fees by the months they are for: a year paid in one month is a twelfth of it in each of twelve.

A payment is one for several months where nothing, or next to nothing, is paid in the months after
it. It is spread where the records settle how many months it is for: payments at regular intervals
of some months, the contract's term, as many months as lie between payments, or a quarter, half a
year or a year, by what the client usually pays a month (in months paid one by one, else as planned
at signing). Where they do not it stays where it is and is told. Fees paid month by month are never
touched: neither is a free month, a month's credit note, nor a client that stopped paying.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from retention.history.features import KEY
from retention.history.snapshots import month_of

NEXT_TO_NOTHING = (
    0.02  # (ours) share of the largest fee of a client up to which a month counts as not paid
)
LEAST_SILENCE = 2  # months to the next payment from which one may be for more than its month
USUAL_MONTHS = 3  # (ours) months paid one by one from which they say what is usual
ABOVE_USUAL = 1.5  # (ours) times the usual fee from which a payment is more than a month's
LARGE = 3.0  # (ours) times the usual fee from which a payment that nothing explains is told
OF_TERM = (
    0.5,
    1.5,
)  # (ours) payment over the term's usual fees: a discount for prepayment, or growth since signing
OF_PERIOD = (0.8, 1.1)  # (ours) the same of a period that no contract names
LIKE_BEFORE = (0.5, 2.0)  # (ours) payment over the one before it, for as many months
PERIODS = (12, 6, 3)  # months
LONGEST = 24  # months between payments that may still be a period
REGULAR = (
    3  # (ours) payments that must come at equal intervals before the interval says what each is for
)
AHEAD = 3  # (ours) months before a term begins in which it may be paid for
LUMPS = [*KEY, "month", "amount", "months"]


@dataclass(frozen=True)
class ByTerm:
    """Fees by the months they are for, and what was done for it.

    `table` is account_months with the fees so moved; `spread` and `left` have a row a payment:
    `client_id, engagement, month` (since the year 0), `amount`, and `months` that it is for (0
    where that is not known).
    """

    table: pd.DataFrame
    spread: pd.DataFrame
    left: pd.DataFrame


@dataclass(frozen=True)
class Payer:
    """What one engagement paid: positions are months of service from 0 (before it began: down to
    -3).

    `at` are the positions with a payment, `amounts` what was paid; `known` how many months are on
    record; `last` the position of its end, or None; `terms` where each term begins, and its months;
    `planned` a month's fee as signed.
    """

    at: Sequence[int]
    amounts: Sequence[float]
    known: int
    last: int | None
    terms: Sequence[tuple[int, int]]
    planned: float

    def silence(self, k: int) -> int:
        """Months from a payment to the next one, or to the last month on record."""
        after = self.at[k + 1] if k + 1 < len(self.at) else self.known
        return after - self.at[k]

    def followed(self, k: int) -> bool:
        """Whether another payment came later."""
        return k + 1 < len(self.at)

    def term(self, position: int) -> tuple[int, int]:
        """Where the term in force begins, and its months; a payment a month ahead is for the term
        to come.
        """
        begun = [term for term in self.terms if term[0] <= position + 1]
        return begun[-1] if begun else self.terms[0]

    @property
    def cadence(self) -> int:
        """Months between payments where they come at regular intervals of two months or more, three
        times at least.
        """
        later = self.at[1:]
        pairs = zip(self.at, later, strict=False)
        gaps = {after - before for before, after in pairs}
        enough = len(self.at) >= REGULAR
        regular = enough and len(gaps) == 1
        months = gaps.pop() if regular else 0
        return (
            months
            if LEAST_SILENCE <= months <= LONGEST and self.known - self.at[-1] <= months
            else 0
        )

    @property
    def usual(self) -> float:
        """A month's fee, from months paid one by one, else as planned; NaN where neither is
        known.
        """
        single = [
            self.amounts[k]
            for k in range(len(self.at))
            if self.followed(k) and self.silence(k) == 1
        ]
        return float(np.median(single)) if len(single) >= USUAL_MONTHS else self.planned


def by_term(
    spells: pd.DataFrame, table: pd.DataFrame, contracts: pd.DataFrame | None = None
) -> ByTerm:
    """The fees of `table` (account_months) by the months they are for: `ByTerm`.

    As known by the newest month in `table`: months after it are not filled.
    """
    nothing = pd.DataFrame(columns=LUMPS)
    if "fee" not in table or table["fee"].isna().all():
        return ByTerm(table, nothing, nothing)
    rows = _paid(spells, table)
    has_fee = table["fee"].notna()
    paid_months = table.loc[has_fee, "month"]
    newest = int(month_of(paid_months).max())
    lumps = []
    moved = []
    for spell, payer in _payers(rows, spells, contracts, newest):
        covered: set[int] = set()
        for k, months in _lumps(payer):
            at = payer.at[k]
            amount = payer.amounts[k]
            lumps.append((spell, at, amount, months))
            if months:
                shares = _shares(payer, k, months, covered)
                moved += [(spell, position, share) for position, share in shares.items()]
                taken = -payer.amounts[k]
                when = payer.at[k]
                moved.append((spell, when, taken))
    payments = _payments(lumps, spells)
    spreading = payments[payments["months"] > 0]
    spread = spreading.reset_index(drop=True)
    zero = payments[payments["months"] == 0]
    left = zero.reset_index(drop=True)
    moved_table = _moved(table, moved, spells, newest)
    return ByTerm(moved_table, spread, left)


def _paid(spells: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Fees by engagement (`spell`, its row number) and `position`, those of the month before it
    began included.
    """
    rows = table[["client_id"]].assign(
        month=month_of(table["month"]), fee=table["fee"].astype(float)
    )
    about = spells[["client_id"]].assign(
        spell=np.arange(len(spells)),
        first=month_of(spells["start_date"]),
        last=month_of(spells["end_date"]),
    )
    known = rows.dropna()
    rows = known.merge(about, on="client_id")
    position = rows["month"] - rows["first"]
    rows = rows.assign(position=position)
    after_end = rows["month"] > rows["last"]
    inside = (rows["position"] >= -AHEAD) & ~after_end
    key = ["spell", "position"]
    by_position = rows[inside].groupby(key, as_index=False)
    return by_position["fee"].sum()


def _payers(
    rows: pd.DataFrame, spells: pd.DataFrame, contracts: pd.DataFrame | None, newest: int
) -> Iterator[tuple[int, Payer]]:
    """The engagements in which a payment is followed by months without one; as few as may be, for
    each is looked at.
    """
    rows = _real_payments(rows)
    first = month_of(spells["start_date"]).to_numpy()
    end = month_of(spells["end_date"]).to_numpy(float)
    known_end = np.where(end <= newest, end, np.nan)
    last = known_end - first
    open_end = np.isnan(last)
    known = np.where(open_end, newest - first, last) + 1
    planned = _planned(spells)
    silent = _silent(rows, known, planned)
    terms = _terms(spells.iloc[silent], silent, contracts)
    for spell, own in rows[rows["spell"].isin(silent)].groupby("spell"):
        number = int(spell)
        ended = None if open_end[number] else int(last[number])
        at = own["position"].astype(int).tolist()
        amounts = own["fee"].tolist()
        yield number, Payer(at, amounts, int(known[number]), ended, terms[number], planned[number])


def _real_payments(rows: pd.DataFrame) -> pd.DataFrame:
    """The payments of each spell in order, without those that are next to nothing."""
    largest = rows.groupby("spell")["fee"].transform("max")
    paid = rows["fee"] > 0
    real = paid & (rows["fee"] > NEXT_TO_NOTHING * largest)
    return rows[real].sort_values(["spell", "position"])


def _silent(rows: pd.DataFrame, known: np.ndarray, planned: np.ndarray) -> np.ndarray:
    """The spells with a payment after which months stay empty, or with a large newest one.

    `known` (months on record) and `planned` (fee a month) are by spell.
    """
    spell = rows["spell"]
    by_spell = rows.groupby("spell")
    until = pd.Series(known[spell], rows.index)
    after = by_spell["position"].shift(-1).fillna(until)
    usual_fee = pd.Series(planned[spell], rows.index)
    typical = by_spell["fee"].transform("median").clip(upper=usual_fee)
    newest_row = spell.ne(spell.shift(-1))
    newest_large = newest_row & (rows["fee"] >= LARGE * typical)
    long_silent = (after - rows["position"] >= LEAST_SILENCE) | newest_large
    return rows.loc[long_silent, "spell"].unique()


def _planned(spells: pd.DataFrame) -> np.ndarray:
    """What each engagement was to pay a month, as signed; NaN where that is not known or
    nothing.
    """
    if "fee_pct" not in spells:
        return np.full(len(spells), np.nan)
    share = spells["fee_pct"].astype(float) / 100
    fee = share * spells["monthly_ad_spend"].astype(float)
    return fee.where(fee > 0).to_numpy(float)


def _terms(
    spells: pd.DataFrame, numbers: np.ndarray, contracts: pd.DataFrame | None
) -> Mapping[int, list[tuple[int, int]]]:
    """The terms of each engagement, by its row number: the position at which each begins, and its
    months.
    """
    signed = spells["contract_term_months"].astype(int)
    pairs = zip(numbers, signed, strict=True)
    terms = {int(number): [(0, term)] for number, term in pairs}
    if contracts is None:
        return terms
    start = month_of(spells["start_date"])
    clients = spells[["client_id"]]
    about = clients.assign(spell=numbers, first=start)
    rows = (
        contracts[["client_id", "term_start", "term_months"]].dropna().merge(about, on="client_id")
    )
    rows = rows.assign(position=month_of(rows["term_start"]) - rows["first"]).sort_values(
        "position", kind="stable"
    )
    later = rows[rows["position"] >= 0]
    for row in later.itertuples():
        terms[int(row.spell)].append((int(row.position), int(row.term_months)))
    return terms


def _lumps(payer: Payer) -> Iterator[tuple[int, int]]:
    """The payments for several months: which, and for how many; 0 where that cannot be told."""
    if payer.cadence:
        yield from ((k, payer.cadence) for k in range(len(payer.at)))
        return
    # months and amount of the last one that was settled
    usual = payer.usual
    before = (0, math.nan)
    for k, amount in enumerate(payer.amounts):
        silence = payer.silence(k)
        if usual > 0 and amount < ABOVE_USUAL * usual:
            continue
        if silence < LEAST_SILENCE:
            months = 0 if payer.followed(k) else _just_paid(payer, k, usual, before)
        else:
            months = _by_size(payer, k, usual) if usual > 0 else _by_calendar(payer, k, before[0])
        if months:
            before = months, amount
            yield k, months
        elif silence >= LEAST_SILENCE and (
            amount >= LARGE * usual if usual > 0 else silence > LEAST_SILENCE
        ):
            yield k, 0


def _just_paid(payer: Payer, k: int, usual: float, before: tuple[int, float]) -> int:
    """For how many months a payment of the newest month is: as many as the one before, or the term
    that begins.
    """
    months, amount = before
    if months and LIKE_BEFORE[0] <= payer.amounts[k] / amount <= LIKE_BEFORE[1]:
        return months
    position = payer.at[k]
    begins, term = payer.term(position)
    fits = usual > 0 and OF_PERIOD[0] <= payer.amounts[k] / usual / term <= OF_PERIOD[1]
    return term if term > 1 and fits and (payer.at[k] - begins) % term == 0 else 0


def _by_size(payer: Payer, k: int, usual: float) -> int:
    """For how many months a payment is, by how many usual fees it comes to; 0 where nothing fits,
    else the best fit.
    """
    times = payer.amounts[k] / usual
    position = payer.at[k]
    term = payer.term(position)[1]
    silence = payer.silence(k)
    options = [(term, OF_TERM)] if term > 1 else []
    options += [(silence, OF_PERIOD)] if payer.followed(k) and silence <= LONGEST else []
    options += [(period, OF_PERIOD) for period in PERIODS]
    fits = []
    for months, (low, high) in options:
        early = (
            payer.followed(k) and silence < months - 1
        )  # the next one came before these months were over
        if low <= times / months <= high and not early:
            off = abs(math.log(times / months))
            fits.append((off, months))
    return min(fits)[1] if fits else 0


def _by_calendar(payer: Payer, k: int, before: int) -> int:
    """For how many months a payment is, by when the next came, where nothing says what is usual; 0
    where none fits.

    `before`: for how many the one before was.
    """
    (begins, term), silence = payer.term(payer.at[k]), payer.silence(k)
    if payer.followed(k):
        if term > 1 and abs(silence - term) <= 1:
            return term
        alike = before == silence or (payer.followed(k + 1) and payer.silence(k + 1) == silence)
        return silence if silence <= LONGEST and (term % silence == 0 or alike) else 0
    if before and silence <= before + 1:
        return before
    into = payer.at[k] - begins
    as_it_began = into % term in (0, term - 1)
    return term if term > 1 and as_it_began and silence >= term else 0


def _shares(payer: Payer, k: int, months: int, covered: set[int]) -> dict[int, float]:
    """What of a payment is for each position; adds the positions to those `covered`.

    It is for the term, or part of it, in which it was paid; where that is paid for already, for the
    next one if it came in its last month (its last three where all of it is paid for), else for the
    months from the payment on. All of it is for the months until the client's end.
    """
    position = payer.at[k]
    begins = payer.term(payer.at[k])[0]
    since = max(position - begins, 0)
    start = begins + since // months * months
    other_bills = {at for at in payer.at if at != position}
    others = covered | other_bills
    own = set(range(start, start + months))
    if others & own:
        early = position == start + months - 1 or (
            own <= covered and position >= start + months - AHEAD
        )
        ahead = early and not covered & set(range(start + months, start + 2 * months))
        start = start + months if ahead else max(position, 0)
    window = list(range(start, start + months))
    covered.update(window)
    if payer.last is not None:
        window = [at for at in window if at <= payer.last] or [payer.last]
    return {at: payer.amounts[k] / len(window) for at in window}


def _payments(lumps: Sequence[tuple[int, int, float, int]], spells: pd.DataFrame) -> pd.DataFrame:
    """The payments for several months, a row each with the columns `LUMPS`."""
    columns = ["spell", "position", "amount", "months"]
    rows = pd.DataFrame(lumps, columns=columns)
    numbers = np.arange(len(spells))
    start = month_of(spells["start_date"])
    about = spells[KEY].assign(spell=numbers, first=start)
    whole = rows.astype({"spell": int})
    rows = whole.merge(about, on="spell")
    month = rows["first"] + rows["position"]
    return rows.assign(month=month)[LUMPS]


def _moved(
    table: pd.DataFrame, moved: Sequence[tuple[int, int, float]], spells: pd.DataFrame, newest: int
) -> pd.DataFrame:
    """The table with these amounts added to the fees of their months, a row a client and month
    where any was.
    """
    if not moved:
        return table
    columns = ["spell", "position", "fee"]
    changes = pd.DataFrame(moved, columns=columns)
    first = month_of(spells["start_date"]).to_numpy()
    number = first[changes["spell"]] + changes["position"]
    month_number = number % 12 + 1
    parts = {"year": number // 12, "month": month_number, "day": 1}
    day = pd.to_datetime(parts)
    changes = pd.DataFrame(
        {
            "client_id": spells["client_id"].to_numpy()[changes["spell"]],
            "month": day,
            "fee": changes["fee"],
        }
    )[number.to_numpy() <= newest]
    touched = table["client_id"].isin(changes["client_id"])
    typed = changes.astype({"client_id": table["client_id"].dtype})
    every = pd.concat([table[touched], typed])
    others = {
        name: "max" if name == "recorded_at" else "first" for name in table if name not in changes
    }
    key = ["client_id", "month"]
    sums = every.groupby(key, as_index=False)
    rows = sums.agg({"fee": lambda fees: fees.sum(min_count=1), **others})
    both = [table[~touched], rows[table.columns]]
    return pd.concat(both, ignore_index=True)
