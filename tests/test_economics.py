"""The agency's money: golden numbers, five clients by hand, wholes and their parts, planted truth,
clients alone.
"""

import datetime as dt
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from conftest import clients_of
from retention import open_study
from retention.history.follow_up import follow_up
from retention.history.money import monthly_money
from retention.history.spells import build_spells
from retention.money import (
    bonuses,
    courses,
    levers,
    lifetimes,
    movements,
    on_the_books,
    plateau,
    retained,
)
from retention.sample import World, simulate
from retention.settings import WhatIfSettings
from retention.stats.curves import after, kaplan_meier, restricted_mean
from retention.words import key_of, texts

pytestmark = pytest.mark.slow  # minutes: such files come first, so that no core waits for them

CUTOFF, NOTHING = (
    dt.date(2024, 12, 31),
    pd.DataFrame(columns=["client_id", "engagement", "month", "fee", "margin"]),
)


def said(finding) -> str:
    """The id of the text of a finding, without the values of its fields."""
    return finding.text.key.partition(":")[0]


def by_name(table, page: str) -> dict[str, object]:
    """The estimates of a table by the ids of their names, without the page's."""
    return {row.key[1].removeprefix(f"economics.{page}."): row for row in table.rows}


def five() -> pd.DataFrame:
    """Two stay, one for 24 months, one for 12; three left after 3, 6 and 12 months, the last by the
    agency's choice.
    """
    rows = [
        ("a", "2023-01-01", None, 1, 10.0, None), ("b", "2024-01-01", None, 12, 10.0, None),
        ("c", "2023-01-01", "2023-03-31", 1, 20.0, "client"), ("d", "2023-01-01", "2023-06-30", 6, 10.0, "client"),
        ("e", "2023-01-01", "2023-12-31", 12, 10.0, "agency"),
    ]  # fmt: skip
    return build_spells(clients_of(rows, ("fee_pct", "end_initiator")), cutoff=CUTOFF)


def paying(spells: pd.DataFrame, fee: dict[str, list[float]]) -> pd.DataFrame:
    """Fees by calendar month from each client's start on."""
    start = spells.drop_duplicates("client_id").set_index("client_id")["start_date"]
    rows = [
        (who, start[who] + pd.DateOffset(months=k), x)
        for who, paid in fee.items()
        for k, x in enumerate(paid)
    ]
    months = pd.DataFrame(rows, columns=["client_id", "month", "fee"])
    return monthly_money(spells, {"account_months": months})


def constant(n: int, churn: float, seed: int) -> pd.DataFrame:
    """Clients who sign evenly over the months and leave with one chance a month, paying 100
    each.
    """
    rng = np.random.default_rng(seed)
    months = np.datetime64("2015-01") + np.arange(n) * 120 // n
    starts = pd.to_datetime(months.astype("datetime64[D]"))
    end = pd.to_datetime((months + rng.geometric(churn, n)).astype("datetime64[D]")) - pd.Timedelta(
        days=1
    )
    frame = pd.DataFrame(
        {"client_id": np.arange(n).astype(str), "start_date": starts, "end_date": end}
    )
    frame["end_date"] = frame["end_date"].where(frame["end_date"] <= pd.Timestamp(CUTOFF))
    frame = frame.assign(
        contract_term_months=1, monthly_ad_spend=1000.0, fee_pct=10.0, end_initiator=None
    )
    frame.loc[frame["end_date"].notna(), "end_initiator"] = "client"
    return build_spells(frame, cutoff=CUTOFF)


@pytest.mark.parametrize(
    ("fee", "leaving", "value"), [(0.10, 0.08, 1.1458), (0.08, 0.04, 1.6809), (0.06, 0.04, 1.2606)]
)
def test_the_lifetime_values_of_the_specification(fee, leaving, value):
    stay = ((1 - leaving) ** np.arange(601))[None, :]
    assert courses.worth(stay, np.full((1, 600), fee), 600)[0] == pytest.approx(value, abs=5e-5)
    undiscounted = courses.worth(stay, np.full((1, 600), fee), 600, discount=0.0)[0]
    assert undiscounted == pytest.approx(fee / leaving, rel=1e-9)


def test_five_clients_by_hand():
    """At risk 5, 4 from month 4, 3 from month 7, 1 from month 13; a fifth, a quarter and a third of
    them leave.
    """
    found = courses.course(five(), NOTHING)
    assert found.at_risk.sum(axis=0)[[0, 2, 3, 5, 6, 11, 12]].tolist() == [5, 5, 4, 4, 3, 3, 1]
    once = np.ones((1, 5))
    stay = courses.survival(found, once)[0]
    assert stay[[0, 3, 6, 12]] == pytest.approx([1, 4 / 5, 3 / 5, 2 / 5])
    # b is censored after twelve months, in which e goes: of three at risk one leaves.
    paid = courses.paid_there(found, once)[0]  # c pays 200 as planned, the others 100
    assert paid[[0, 2, 3]].tolist() == [120, 120, 100]
    assert courses.worth(stay[None, :], paid[None, :], 6, discount=0)[0] == pytest.approx(
        3 * 120 + 3 * 0.8 * 100
    )
    # Were leaving by choice halved as a power, e's end (the agency's) would stay as it is.
    slow = courses.stay_by(*courses.paces(found, once), 0.5)[0]
    assert slow[12] == pytest.approx(math.sqrt(4 / 5 * 3 / 4) * 2 / 3)
    assert lifetimes.payback(stay[None, :], paid[None, :], np.array([361.0]), 24)[0] == 4
    assert np.isinf(lifetimes.payback(stay[None, :], paid[None, :], np.array([1e6]), 24)[0])


def test_fees_by_month_lose_nothing_of_an_ended_client():
    spells = five()
    money = paying(spells, {"a": [100] * 24, "c": [200, 200, 50], "d": [10] * 9, "e": [100] * 12})
    found = courses.course(spells, money)
    row = dict(zip(spells["client_id"], found.paid, strict=True))
    assert (
        np.nansum(row["c"]) == 450 and row["b"][:12].tolist() == [100] * 12
    )  # of b none is on record: as planned
    assert np.nansum(row["d"]) == 60  # what is dated after its end is not its own
    assert found.counts.key == "economics.counts.fees_or_planned"
    middle = build_spells(clients_of([("m", "2023-01-15", "2023-03-14", 1)]), cutoff=CUTOFF)
    assert courses.course(middle, paying(middle, {"m": [50, 100, 50]})).paid[0].tolist() == [
        50,
        150,
    ]


def test_margins_take_hours_at_their_cost():
    spells = five()
    month = pd.to_datetime(["2023-01-01"] * 2)
    tables = {
        "account_months": pd.DataFrame(
            {"client_id": ["a", "b"], "month": month, "fee": [100.0, 100.0]}
        ),
        "hours": pd.DataFrame(
            {"client_id": "a", "staff_id": ["x", "y"], "month": month, "hours": [1.0, 0.5]}
        ),
        "staff": pd.DataFrame({"staff_id": ["x", "y"], "hourly_cost": [30.0, np.nan]}),
    }
    money = monthly_money(spells, tables)
    assert money["client_id"].tolist() == ["a"]  # b was no client yet
    assert money["cost"].tolist() == [45.0] and money["margin"].tolist() == [55.0]
    alone = monthly_money(spells, {"account_months": tables["account_months"]})
    assert alone["fee"].tolist() == [100.0] and alone["margin"].isna().all()


def test_the_curve_is_kaplan_meier_s_and_the_mean_its_area(sample_study):
    spells = sample_study.spells
    found = courses.course(spells, sample_study.money)
    stay = courses.survival(found, np.ones((1, len(spells))))[0]
    outcome = follow_up(spells)
    curve = kaplan_meier(outcome)
    assert [stay[m] for m in (6, 12, 24, 60)] == pytest.approx(
        [after(curve, m)["survival"] for m in (6, 12, 24, 60)]
    )
    assert stay[:24].sum() == pytest.approx(restricted_mean(outcome, 24)[0])


def test_shares_add_up_and_are_not_those_of_the_ended(sample_study):
    spells = sample_study.spells
    found = courses.course(spells, sample_study.money)
    for mask in lifetimes.segments(spells).values():
        part = found.where(mask)
        assert sum(row.estimate for row in lifetimes.bands(part).rows) == pytest.approx(1.0)
    parts = lifetimes.segments(spells)
    by_id = {name.key.removeprefix("economics.segment."): mask for name, mask in parts.items()}
    by_term = np.sum([by_id[name] for name in ("monthly", "term:6", "term:12")], axis=0)
    by_size = np.sum([by_id[name] for name in ("smallest", "middle", "largest")], axis=0)
    assert (by_term == 1).all() and (by_size == 1).all()


def test_the_bands_are_of_all_who_sign_and_not_of_those_who_left():
    """Signed within two years, a twelfth leaving each month: 40.7 % within six months; among the
    ended far more.
    """
    spells = constant(3000, 1 / 12, seed=8)
    lately = spells[spells["start_date"] >= "2023-01-01"].reset_index(drop=True)
    row = lifetimes.bands(courses.course(lately, NOTHING)).rows[0]
    assert row.low < 1 - (11 / 12) ** 6 < row.high
    assert (lately.loc[lately["ended"], "stop_months"] <= 6).mean() > row.high + 0.1


def test_a_firm_from_nothing_earns_sign_ups_times_the_restricted_mean():
    """R(H) = a RMST(H) exactly (METHODS 5), here with the fee of each month of service."""
    found = courses.course(constant(600, 1 / 12, seed=1), NOTHING)
    ahead = plateau.outlook(found, CUTOFF)
    stay = courses.survival(found, np.ones((1, 600)))[0]
    assert ahead.new[0, 24] == pytest.approx(ahead.signed[0] * 100 * stay[:24].sum())
    assert ahead.signed[0] == pytest.approx(5.0)  # 600 in 120 months


def test_a_planted_pace_gives_its_plateau_and_its_churn():
    """Five a month paying 100, leaving a twelfth a month: 6,000 a month, and there already after
    ten years.
    """
    found = courses.course(constant(600, 1 / 12, seed=2), NOTHING)
    ahead = plateau.outlook(found, CUTOFF)
    value, low, high = courses.with_limits(ahead.level)
    assert low < 6000 < high and high - low < 2500 and ahead.beyond < 0.1
    assert all(abs(level / 6000 - 1) < 0.2 for level in ahead.tails.values())
    assert said(plateau.plateau_words(ahead, "USD")) == "economics.revenue.steady"
    assert texts()["economics.churn.misleads"] not in lifetimes.shortcut(found)[1].text
    book = ahead.book[0]  # nobody leaves in the month of notice
    assert book[1] == book[0] and book[12] / book[0] == pytest.approx((11 / 12) ** 11, abs=0.1)


def test_the_shortcut_is_said_to_fail_where_it_does():
    early = constant(300, 0.25, seed=3)
    late = constant(300, 0.02, seed=4).assign(client_id=lambda f: "l" + f["client_id"])
    told = lifetimes.shortcut(courses.course(pd.concat([early, late], ignore_index=True), NOTHING))[
        1
    ]
    assert texts()["economics.churn.misleads"] in told.text


@pytest.mark.long
def test_the_intervals_cover_what_was_planted():
    """Forty agencies of 200 clients: worth of two years, churn and plateau lie within their
    intervals in most.
    """
    t = np.arange(24)
    truth = float((100 * (11 / 12) ** t / 1.1 ** (t / 12)).sum()), 1 / 12, 200 / 120 * 100 * 12
    inside = np.zeros(3)
    for seed in range(40):
        found = courses.course(constant(200, 1 / 12, seed=100 + seed), NOTHING)
        weights = found.weights(200)
        value = courses.worth(
            courses.survival(found, weights), courses.paid_there(found, weights), 24
        )
        churn = (weights @ found.left).sum(axis=1) / (weights @ found.at_risk).sum(axis=1)
        limits = [
            courses.with_limits(v)
            for v in (value, churn, plateau.outlook(found, CUTOFF, 200).level)
        ]
        inside += [
            low < planted < high for planted, (_, low, high) in zip(truth, limits, strict=True)
        ]
    assert (inside >= stats.binom.ppf(0.001, 40, 0.95)).all()


def test_another_seller_by_hand():
    ahead = plateau.outlook(courses.course(constant(600, 1 / 12, seed=5), NOTHING), CUTOFF)
    table, words = bonuses.seller_rule(ahead, ahead, bonuses.Sellers(5, 600.0, 0.1, 4.0))
    rule = by_name(table, "seller")
    assert said(words) == "economics.seller.more" and "against a quota of 4" in words.text
    assert rule["signs"].estimate == pytest.approx(1.0)
    assert rule["fee"].estimate == pytest.approx(100.0)
    after_year = rule["after_a_year"].estimate
    assert after_year == pytest.approx(0.9 * ahead.new[0, 12] / 5)
    # Brings 90, 172.5, ... less a twelfth a month: 600 a month is reached, in the sum, when sum
    # R(h) >= 600 h.
    brings = 0.9 * ahead.new[0, 1:] / 5
    first = int(np.argmax(np.cumsum(brings) >= 600 * np.arange(1, 121))) + 1
    assert rule["payback"].estimate == first
    table, told = bonuses.seller_rule(ahead, ahead, None)
    assert not table.rows and said(told) == "economics.seller.lacking_staff"
    assert said(bonuses.seller_rule(None, None, None)[1]) == "economics.seller.lacking_fees"
    costly = bonuses.seller_rule(ahead, ahead, bonuses.Sellers(5, 6000.0, 0.1, math.nan))[1]
    assert texts()["economics.seller.does_not_pay"] in costly.text
    cheap = bonuses.seller_rule(ahead, ahead, bonuses.Sellers(5, 60.0, 0.1, math.nan))[1]
    assert said(cheap) == "economics.seller.less" and "quota" not in cheap.text


def test_sellers_count_by_how_long_they_were_there():
    """Of three, one was there for all of two years, one for the first half and one came on the last
    day.
    """
    staff = pd.DataFrame(
        {
            "role": "seller",
            "started_on": pd.to_datetime(["2019-01-01", "2020-01-01", "2024-12-31"]),
            "ended_on": pd.to_datetime([None, "2023-12-31", None]),
            "monthly_salary": [3000.0, 5000.0, 4000.0],
        }
    )
    found = bonuses.sellers_now(staff, CUTOFF, 24)
    assert (
        found.number == pytest.approx(1.5, abs=0.01)
        and found.salary == 4000
        and found.commission == 0
    )
    assert bonuses.sellers_now(staff.assign(role="rep"), CUTOFF, 24) is None
    assert bonuses.sellers_now(staff, CUTOFF, 0) is None  # all clients started in the last month


@pytest.mark.long
def test_a_bonus_among_equals_is_luck_and_among_unequals_is_not():
    told, salary = WhatIfSettings(), 1000.0
    rng = np.random.default_rng(1)
    due = pd.Series(20.0, [f"r{k}" for k in range(30)])
    equal = pd.DataFrame({"observed": rng.poisson(20, 30).astype(float), "expected": due})
    apart = pd.DataFrame({"observed": np.where(np.arange(30) < 15, 5.0, 35.0), "expected": due})
    luck = []
    for ends in (equal, apart):
        rows = {row.key[1:]: row.estimate for row in bonuses.rep_bonus(ends, salary, told)[0].rows}
        as_is = "economics.rep_bonus.as_is"
        luck.append(rows["economics.rep_bonus.luck", as_is])
        assert rows["economics.rep_bonus.paid", as_is] <= 0.15 * salary * 12 * 30
    # Of fifteen whole bonuses earned among unequals, luck would pay what thirty equals earn: E (1 -
    # O / 20) / .5.
    lost = np.arange(20)
    by_luck = 30 * float(np.clip((1 - lost / 20) / 0.5, 0, 1) @ stats.poisson.pmf(lost, 20))
    assert luck[0] > 0.7 and luck[1] == pytest.approx(by_luck / 15, rel=0.05)
    few = pd.DataFrame({"observed": [0.0], "expected": [4.9]})
    assert said(bonuses.rep_bonus(few, salary, told)[1]) == "economics.rep_bonus.lacking"
    words = [bonuses.rep_bonus(ends, salary, told)[1] for ends in (equal, apart)]
    assert [said(one) for one in words] == [
        "economics.rep_bonus.all_luck",
        "economics.rep_bonus.part_luck",
    ]
    nobody = pd.DataFrame({"observed": [20.0], "expected": [10.0]})
    assert said(bonuses.rep_bonus(nobody, salary, told)[1]) == "economics.rep_bonus.nothing"


def test_a_bonus_is_paid_between_the_ends_that_are_set():
    """As many ends as expected lie half-way between none and twice as many: half of the bonus."""
    asked = WhatIfSettings(bonus_full_at=0.0, bonus_none_at=2.0)
    usual = pd.DataFrame({"observed": [10.0, 10.0], "expected": [10.0, 10.0]})
    rows = bonuses.rep_bonus(usual, 1000.0, asked)[0].rows
    paid = rows[0].estimate
    assert paid == pytest.approx(0.15 * 1000 * 12 * 2 / 2)
    with pytest.raises(ValueError, match="bonus_full_at must be below"):
        WhatIfSettings(bonus_full_at=1.0)


def test_the_seller_bonus_pays_from_where_it_costs_as_much_as_it_brings():
    found = courses.course(constant(600, 1 / 12, seed=6), NOTHING)
    rows = by_name(bonuses.longevity_bonus(found, found, WhatIfSettings()), "longevity")
    needed = rows["needed"].estimate
    once = np.ones((1, 600))
    chose, other = courses.paces(found, once)
    paid, due = courses.paid_there(found, once), np.arange(6, found.known + 1, 6)
    stay, slow = courses.stay_by(chose, other), courses.stay_by(chose, other, 1 - needed)
    gained = (courses.worth(slow, paid, found.known) - courses.worth(stay, paid, found.known))[0]
    assert gained == pytest.approx(0.5 * 100 * (slow[0, due] / 1.1 ** (due / 12)).sum(), rel=1e-3)


def change_of(lever) -> str:
    return lever.name.key.partition(":")[0].removeprefix("economics.change.")


def test_levers_by_hand():
    """With one fee for all: raising it by 5 % brings 5 %; a fifth seller's like brings a fifth,
    less what it costs.
    """
    found = courses.course(constant(600, 1 / 12, seed=7), NOTHING)
    told, who = (
        WhatIfSettings(rates_raised=0.05, leaving_lowered=0.10),
        bonuses.Sellers(5, 40.0, 0.1, 4.0),
    )
    tried = levers.levers(found, found, who, told, CUTOFF)
    gain = {change_of(lever): lever.gain[0] / tried.today[0] for lever in tried.tried}
    assert gain["rates"] == pytest.approx(0.05)
    assert gain["sellers"] == pytest.approx(0.2 * 0.9 - 40 / tried.today[0])
    stay, h = courses.survival(found, np.ones((1, 600)))[0], tried.horizon
    slower = np.append(1, np.cumprod((stay[1 : h + 1] / stay[:h]) ** 0.9))
    assert gain["leaving"] == pytest.approx(slower[:h].sum() / stay[:h].sum() - 1)
    assert tried.today[0] == pytest.approx(5 * 100 * stay[:h].sum())
    table = levers.lever_table(tried)
    names = {key_of(lever.name) for lever in tried.tried}
    assert {row.key[2] for row in table.rows} == {"economics.levers.today", *names}
    best = next(lever for lever in tried.tried if change_of(lever) == max(gain, key=gain.get))
    words = levers.lever_words(tried).text
    assert (
        words.key.startswith(f"economics.levers.best:{key_of(best.name)},")
        and best.assumes in words
    )
    eaten = next(lever.assumes for lever in tried.tried if change_of(lever) == "rates")
    more = float(eaten.split("rises by ")[1].rstrip("%.")) / 100
    faster = np.append(1, np.cumprod((stay[1 : h + 1] / stay[:h]) ** (1 + more)))
    assert 1.05 * faster[:h].sum() == pytest.approx(stay[:h].sum(), rel=0.01)


def test_levers_that_take_work_are_held_against_those_that_do_not_after_their_hours():
    """Of 100 paid 90 go into hours: another seller's clients leave a tenth of their fees, a raise
    leaves all of it.
    """
    spells = constant(600, 1 / 12, seed=9)
    fees = courses.course(spells, NOTHING)
    margins = replace(fees, paid=fees.paid * 0.1)
    told = WhatIfSettings(rates_raised=0.05)
    gain = {
        change_of(x): x.gain[0]
        for x in levers.levers(fees, margins, bonuses.Sellers(5, 0.0, 0.0, 4.0), told, CUTOFF).tried
    }
    assert gain["rates"] == pytest.approx(2.5 * gain["sellers"])


def test_retention_of_clients_and_of_fees_by_hand():
    """Of twelve clients a year before two left; one pays double, one half of what it did."""
    rows = [(f"c{k:02}", "2022-01-01", "2024-06-30" if k < 2 else None, 1) for k in range(12)]
    spells = build_spells(clients_of(rows), cutoff=CUTOFF)
    fee = {f"c{k:02}": [100.0] * 36 for k in range(12)}
    fee["c02"], fee["c03"] = [100.0] * 24 + [200.0] * 12, [100.0] * 24 + [50.0] * 12
    found = retained_of(retained.retained(spells, paying(spells, fee), CUTOFF))
    assert found["clients", "lately"] == pytest.approx(10 / 12)
    assert found["net", "lately"] == pytest.approx((8 + 2 + 0.5) / 12)
    assert found["gross", "lately"] == pytest.approx((9 + 0.5) / 12)
    assert found["clients", "before"] == 1
    alone = retained.retained(spells, monthly_money(spells, {}), CUTOFF)
    assert {name for name, _ in retained_of(alone)} == {"clients"}


def retained_of(table) -> dict[tuple[str, str], float]:
    """Estimates by the ids of quantity and year."""
    begin = "economics.retained."
    return {
        (row.key[1].removeprefix(begin), row.key[2].removeprefix(begin)): row.estimate
        for row in table.rows
    }


def test_present_clients_under_notice_pay_until_their_end():
    rows = [(f"c{k:02}", "2022-01-01", None, 1) for k in range(12)] + [
        ("gone", "2022-01-01", "2025-01-31", 1)
    ]
    frame = clients_of(rows).assign(recorded_date=pd.Timestamp("2024-12-15"), fee_pct=10.0)
    found = courses.course(build_spells(frame, cutoff=CUTOFF), NOTHING)
    present, now = on_the_books.present_clients(found, CUTOFF)
    assert present.sum() == 13 and now[present].tolist() == [100.0] * 13
    path = plateau.book(found, found.weights(0), CUTOFF, 1)[0]
    assert (
        path[:2].tolist() == [1300.0, 1200.0] and path[2] < 1200
    )  # gone on the last of January, as it said


def test_clients_alone_run_in_part():
    """Without fees: lifetimes and churn; and what fees would answer."""
    spells = five().drop(columns="fee_pct")
    found = courses.course(spells, monthly_money(spells, {}))
    assert not found.has_money and lifetimes.bands(found).rows
    assert "fee_pct" in lifetimes.value_words(lifetimes.value_by_segment(found)).text
    assert plateau.outlook(found, CUTOFF) is None
    assert said(plateau.plateau_words(None)) == "economics.revenue.lacking"
    assert "fee_pct" in plateau.plateau_words(None).text
    assert levers.levers(found, found, None, WhatIfSettings(), CUTOFF) is None
    assert said(levers.lever_words(None)) == "economics.levers.lacking"
    assert plateau.outlook_rows(None).empty and not plateau.plateau_table(None).rows
    assert plateau.outlook_alt(plateau.outlook_rows(None)).key == "economics.chart.unknown"
    assert not bonuses.longevity_bonus(found, found, WhatIfSettings()).rows
    absent = [said(item) for item in lifetimes.lacking(found, found, spells, None).items]
    assert absent == [f"economics.lacking.{what}" for what in ("fees", "hours", "cost", "sellers")]


def test_the_grade_is_the_band_of_the_median_and_says_where_it_is_not_reached():
    few = lifetimes.grade(courses.course(five(), NOTHING))
    assert few.text.key == "economics.grade.lacking"
    found = courses.course(
        constant(6000, 0.1, seed=13), NOTHING
    )  # .9 to the sixth is .53, to the seventh .48
    assert lifetimes.grade(found).text.key.startswith("economics.grade.median:7.0,fair")
    staying = build_spells(
        clients_of([(f"s{k}", "2022-01-01", None, 1) for k in range(12)]), cutoff=CUTOFF
    )
    assert (
        lifetimes.grade(courses.course(staying, NOTHING)).text.key
        == "economics.grade.best:36,excellent"
    )


def test_the_sample_s_worth_is_told_by_segment_with_margins():
    study = open_study("", "", "")
    table = lifetimes.value_by_segment(courses.best_course(study.spells, study.money))
    rows = {row.key[1:]: row for row in table.rows}
    worth = "economics.value.worth:24"
    small, large = (rows[worth, f"economics.segment.{name}"] for name in ("smallest", "largest"))
    assert small.high < 0 < large.low and table.counts.key == "economics.counts.margins"
    assert said(lifetimes.value_words(table)) == "economics.value.brings"
    assert f"{large.group} ({large.estimate:,.0f})" in lifetimes.value_words(table).text
    for name, value in ((row.name, row) for row in table.rows if math.isfinite(row.low)):
        assert value.low <= value.estimate <= value.high, name


def test_a_big_world_has_room_for_late_entry():
    """Records that begin late: the curve of the survivors alone would be read too high; with entry
    it is not.
    """
    tables = simulate(World(), clients=3000, seed=5, tables=("clients",))
    begin = dt.date(2021, 1, 1)
    late = build_spells(tables["clients"], cutoff=dt.date(2025, 12, 31), records_begin=begin)
    found = courses.course(late, NOTHING)
    whole = found.where((late["entry_months"] == 0).to_numpy())
    ours, theirs = (
        courses.survival(part, np.ones((1, len(part.spells))))[0, 24] for part in (found, whole)
    )
    assert ours == pytest.approx(theirs, abs=0.03)


def test_a_few_fees_do_not_stand_for_all():
    """One client's fees on record: the others' are taken as planned; where nothing is planned,
    nothing is said.
    """
    spells = constant(200, 1 / 12, seed=1)
    one = spells[spells["stop_months"] >= 24].iloc[0]["client_id"]
    money = paying(spells, {one: [5000.0] * 24})
    found = courses.course(spells, money)
    assert np.nanmedian(found.paid) == 100
    assert found.counts.key == "economics.counts.fees_or_planned"
    unknown = courses.course(spells.drop(columns="fee_pct"), money)
    assert not unknown.has_money and plateau.outlook(unknown, CUTOFF) is None


def test_fees_that_are_not_on_record_are_no_growth():
    """Twenty pay 100 all along; of ten the fees are on record from July on alone: net retention is
    100 %, not 200.
    """
    spells = build_spells(
        clients_of([(f"c{k:02}", "2022-01-01", None, 1) for k in range(20)]), cutoff=CUTOFF
    )
    money = paying(spells, {f"c{k:02}": [100.0] * 36 for k in range(20)})
    late = money["client_id"].isin([f"c{k:02}" for k in range(10)]) & (
        money["month"] < 2024 * 12 + 6
    )
    found = retained_of(retained.retained(spells, money[~late], CUTOFF))
    assert found["net", "lately"] == 1


def test_hours_kept_for_part_of_the_time_are_not_taken_for_nothing():
    spells = build_spells(
        clients_of([("a", "2023-01-01", None, 1), ("b", "2023-01-01", None, 1)]), cutoff=CUTOFF
    )
    months = pd.to_datetime(
        [pd.Timestamp("2023-01-01") + pd.DateOffset(months=k) for k in range(24)]
    )
    fees = pd.concat(
        [pd.DataFrame({"client_id": who, "month": months, "fee": 100.0}) for who in "ab"]
    )
    hours = pd.DataFrame(
        {"client_id": "a", "staff_id": "x", "month": months[[18, 20, 23]], "hours": 3.0}
    )
    tables = {
        "account_months": fees,
        "hours": hours,
        "staff": pd.DataFrame({"staff_id": ["x"], "hourly_cost": 30.0}),
    }
    money = monthly_money(spells, tables).sort_values(["client_id", "month"], ignore_index=True)
    assert money["margin"].iloc[:18].isna().all() and money["margin"].iloc[18:24].tolist() == [
        10,
        100,
        10,
        100,
        100,
        10,
    ]
    assert money["margin"].iloc[24:].isna().all()  # of b none were ever kept
    assert courses.best_course(spells, money).counts.key == "economics.counts.fees"


def test_few_ends_are_described_without_an_interval():
    staying = build_spells(
        clients_of([(f"s{k}", "2023-06-01", None, 1) for k in range(12)]), cutoff=CUTOFF
    )
    found = courses.course(staying.assign(fee_pct=10.0), NOTHING)
    assert all(
        math.isnan(row.low)
        for row in (*lifetimes.bands(found).rows, *lifetimes.value_by_segment(found).rows)
    )
    assert plateau.outlook(found, CUTOFF) is None
    assert lifetimes.bands(found).rows[-1].key[2] == "economics.bands.over:excellent,18"
    young = build_spells(
        clients_of([(f"s{k}", "2024-04-01", None, 1) for k in range(12)]), cutoff=CUTOFF
    )
    young_bands = lifetimes.bands(courses.course(young, NOTHING))
    assert young_bands.rows[-1].key[2] == "economics.bands.or_better:fair,6"


def test_how_many_sign_is_uncertain_however_young_the_agency():
    young = constant(600, 1 / 12, seed=12)
    found = courses.course(
        young[young["start_date"] >= "2023-01-01"].reset_index(drop=True), NOTHING
    )
    signed = plateau.signups(found, found.weights(), CUTOFF)
    assert signed[0] == 5 and signed[1:].std() == pytest.approx(
        math.sqrt(5 * 24) / 24, rel=0.15
    )  # Poisson


def test_hours_that_are_still_coming_in_are_not_taken_for_nothing():
    """Ten clients cost 90 of 100 a month; of the last month one client's hours are in: its margin
    is not known yet.
    """
    spells = build_spells(
        clients_of([(f"c{k}", "2023-01-01", None, 1) for k in range(10)]), cutoff=CUTOFF
    )
    months = pd.to_datetime(
        [pd.Timestamp("2024-01-01") + pd.DateOffset(months=k) for k in range(12)]
    )
    rows = pd.DataFrame(
        [(f"c{k}", month) for k in range(10) for month in months], columns=["client_id", "month"]
    )
    late = (rows["month"] == months[-1]) & (rows["client_id"] != "c0")
    tables = {
        "account_months": rows.assign(fee=100.0),
        "hours": rows[~late].assign(staff_id="x", hours=3.0),
        "staff": pd.DataFrame({"staff_id": ["x"], "hourly_cost": 30.0}),
    }
    money = monthly_money(spells, tables)
    newest = money["month"] == money["month"].max()
    assert money.loc[newest, "margin"].isna().all() and (money.loc[~newest, "margin"] == 10).all()


@pytest.mark.slow
def test_what_is_retained_of_the_fees_is_what_the_waterfall_leaves(sample_study):
    """Net: all steps but the new; gross: without the raises. On the sample, and where a client left
    within the month, came back, or has a month without a fee.
    """
    rows = [(f"c{k:02}", "2022-01-01", None, 1) for k in range(12)]
    rows[0] = ("c00", "2022-01-01", "2024-12-20", 1)
    rows[1] = ("c01", "2022-01-01", "2024-03-31", 1)
    again = ("c01", "2024-10-01", None, 1)
    spells = build_spells(clients_of([*rows, again]), cutoff=CUTOFF)
    fee = {f"c{k:02}": [100.0 + k] * 36 for k in range(12)}
    fee["c02"] = [100.0] * 24 + [200.0] * 11 + [np.nan]
    ours = (spells, paying(spells, fee).dropna(subset=["fee"]), CUTOFF)
    study = sample_study
    for spells, money, cutoff in (ours, (study.spells, study.money, study.cutoff)):
        kept = retained_of(retained.retained(spells, money, cutoff))
        steps = movements.movements(spells, money, cutoff).steps.set_index("step")["amount"]
        net = 1 + steps[["churned", "downgraded", "upgraded"]].sum() / steps["before"]
        gross = 1 + steps[["churned", "downgraded"]].sum() / steps["before"]
        assert kept["net", "lately"] == pytest.approx(net)
        assert kept["gross", "lately"] == pytest.approx(gross)
