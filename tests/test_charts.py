"""Charts: SVG in the page's colours, twice, with a title that says what was found and the rows drawn."""

import base64
import datetime as dt
import html
import io
import re
from pathlib import Path

import pandas as pd
import pytest

from conftest import clients_of
from retention.claims.remaining import cohorts
from retention.claims.size_groups import rates_with_limits
from retention.history.spells import build_spells
from retention.money.levers import gains
from retention.money.movements import billed_and_ahead, movement_caption, movement_words, movements
from retention.portfolio.pictures import tier_grid
from retention.results import leave_out_below
from retention.score import at_stake
from retention.service import nps
from retention.show import titles
from retention.show.clients import plot_last_days, plot_margins, plot_risk_margin
from retention.show.colours import VARIABLES
from retention.show.grid import plot_grid
from retention.show.labels import name_dots
from retention.show.money import plot_billed, plot_waterfall
from retention.show.numbers import in_money, short_money
from retention.show.performance import plot_answers, plot_flow, plot_funnel
from retention.show.picture import Picture, axes
from retention.show.ranked import plot_ranked, times
from retention.show.survival import plot_before, plot_effects, plot_survival
from retention.stats.funnel import in_order
from retention.words import fields_of, texts

STYLE = (Path(titles.__file__).parents[1] / "show/templates/style.css").read_text()
MOST_WORDS = 15
HOSTILE = "<script>alert(1)</script> $x_1$ & \x1b[2J"


@pytest.fixture
def effects() -> pd.DataFrame:
    rows = pd.DataFrame({"choice": ["as planned", "b"], "estimate": [1.6, 1.2]})
    return rows.assign(low=[1.1, 0.8], high=[2.2, 1.7])


@pytest.fixture
def curves() -> pd.DataFrame:
    rows = [("monthly", 0, 1.0), ("monthly", 3, 0.5), ("12 months", 0, 1.0), ("12 months", 12, 0.7)]
    frame = pd.DataFrame(rows, columns=["group", "month", "survival"])
    low, high = frame["survival"] - 0.1, frame["survival"] + 0.1
    return frame.assign(low=low, high=high, followed=24.0)


AT_RISK = pd.DataFrame([[20, 9], [20, 12]], index=["monthly", "12 months"], columns=[0, 12])


def shown(chart, **more) -> str:
    return Picture(chart, "words", "caption", **more)._repr_mimebundle_()["text/html"]


def test_a_chart_with_nothing_in_it_is_not_shown(effects):
    assert "empty" in shown(plot_effects(effects.assign(low=float("nan"))))
    assert "<svg" not in shown(axes(None))
    assert "<svg" in shown(plot_effects(effects))


def test_a_chart_is_drawn_for_a_page_and_for_a_phone(effects):
    page = shown(plot_effects(effects), title="Found <it>")
    widths = [float(width) for width in re.findall(r'viewBox="0 0 ([\d.]+)', page)]
    assert widths == [432, 252]
    assert page.count('role="img" aria-label="words"') == 2
    phone = re.search(r'<svg[^>]*class="phone"[^>]*>', page)[0]
    assert "display:none" in phone, "without a style sheet one of the two is seen"
    assert '<div class="title">Found &lt;it&gt;</div>' in page and "<p>caption</p>" in page
    assert "<text" in page and "font-family" not in re.sub("<svg[^>]*>", "", page)


def test_the_same_chart_gives_the_same_bytes(effects, curves):
    assert shown(plot_effects(effects)) == shown(plot_effects(effects))
    assert shown(plot_survival(curves, AT_RISK)) == shown(plot_survival(curves, AT_RISK))


def test_no_two_charts_of_a_page_share_an_id(effects, curves):
    flow = pd.DataFrame({"quarter": ["2024Q1", "2024Q2"], "started": [3, 4], "ended": [1, 2]})
    page = shown(plot_effects(effects)) + shown(plot_survival(curves, AT_RISK))
    page += shown(plot_flow(flow)) + shown(plot_flow(flow.assign(ended=[2, 1])))
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids)) > 4
    pointing = re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', page)
    assert {a or b for a, b in pointing} == set(ids)


def test_every_colour_is_one_of_the_page(effects, curves):
    page = shown(plot_effects(effects, 1.5)) + shown(plot_survival(curves, AT_RISK))
    assert re.findall(r":#[0-9a-f]{3,6}", re.sub(r"var\([^;\"]*\)", "", page)) == []
    named = re.findall(r"var\((--c\d|--muted|--band|--line|--soft|--pub)", str(VARIABLES))
    for variable in set(named):
        assert STYLE.count(variable + ":") == 3, f"{variable}: in light, in the dark, on paper"


def luminance(color: str) -> float:
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_colours_stand_out_from_light_and_dark_paper():
    light, dark = re.findall(r":root\{(.*?)\}", STYLE)[:2]
    for rules in (light, dark):
        color = {
            name: value if len(value) == 7 else "#" + "".join(2 * letter for letter in value[1:])
            for name, value in re.findall(r"--([\w]+):(#\w+)", rules)
        }
        paper = luminance(color["paper"])
        for name, least in {**{f"c{n}": 4.5 for n in range(1, 8)}, "muted": 3, "soft": 4.5}.items():
            pair = sorted([luminance(color[name]), paper])
            assert (pair[1] + 0.05) / (pair[0] + 0.05) >= least, name


@pytest.mark.filterwarnings("ignore:Glyph")
def test_names_are_data_and_never_markup():
    frame = pd.DataFrame({"expected": [5.0], "ratio": [1.0], "few": [False]}, index=[HOSTILE])
    limits = pd.DataFrame({"expected": [1.0, 9.0]})
    limits = limits.assign(low_95=0.5, high_95=1.5, low_998=0.3, high_998=2.0)
    page = shown(plot_funnel(frame, limits), title=HOSTILE, data=frame.reset_index())
    assert "<script" not in page and "\x1b" not in page
    assert "$x_1$" in html.unescape(page), "no letter of a name is a formula"


def test_the_rows_drawn_can_be_had_as_csv(effects):
    rows = effects.assign(choice=["=1+1", "b"])
    page = shown(plot_effects(rows), data=rows, title="Found")
    link = re.search(r'download="([\w-]+).csv" href="data:text/csv;base64,([^"]+)"', page)
    text = base64.b64decode(link[2]).decode()
    assert text.splitlines()[0] == "choice,estimate,low,high"
    assert text.splitlines()[1].startswith("'=1+1,1.6,"), "no cell is a formula"
    assert len(pd.read_csv(io.StringIO(text))) == 2


def test_rows_on_few_clients_are_not_in_the_csv(effects):
    leave_out_below(5)
    try:
        page = shown(plot_effects(effects), data=effects.assign(clients=[4, 5]))
    finally:
        leave_out_below(0)
    link = re.search(r'base64,([^"]+)"', page)
    assert len(base64.b64decode(link[1]).decode().splitlines()) == 2


def test_titles_say_what_is_found(effects, curves):
    assert titles.effects(effects) == (
        "1 of 2 ways of counting leaves open whether there is a difference"
    )
    assert titles.survival(curves) == "Not left after a year: 70% of 12 months, 50% of monthly"
    assert titles.survival(curves.assign(followed=6.0)) == ""
    before = pd.DataFrame({"measure": ["liking"] * 2, "months_before": [-3, 0]})
    assert titles.before(before.assign(mean=[0.2, -1.1])).endswith("liking falls by 1.3 SD")
    assert titles.before(before.assign(mean=[0.2, 0.3])).startswith("Nothing falls")


@pytest.mark.parametrize("key", [key for key in texts() if key.startswith("shown.title.")])
def test_titles_have_at_most_fifteen_words(key):
    """Where each number is one word and each name two."""
    text = texts()[key]
    names = {"who", "group", "most", "least"} & set(fields_of(text))
    assert len(re.sub(r"\{[^}]*\}", "X", text).split()) + len(names) <= MOST_WORDS


def test_nothing_to_draw_has_no_title():
    nothing = pd.DataFrame(columns=["group", "month", "share", "hazard", "survival", "followed"])
    assert titles.survival(nothing) == titles.hazard(nothing) == titles.stacked(nothing) == ""
    rows = pd.DataFrame(columns=["choice", "estimate", "low", "high"])
    assert titles.effects(rows) == titles.expected(rows) == titles.flow(rows) == ""


def test_names_beside_dots_do_not_cover_each_other():
    ax = axes(None)
    ax.plot([1, 1, 1, 1], [1, 1.001, 1.002, 2], "o")
    dots = pd.DataFrame({"x": [1.0, 1, 1], "y": [1, 1.001, 1.002]}).to_numpy()
    name_dots(ax, dots, ["first", "second", "third"], ["#262626"] * 3)
    boxes = [text.get_window_extent() for text in ax.texts]
    pairs = [(a, b) for number, a in enumerate(boxes) for b in boxes[:number]]
    assert boxes and not any(a.overlaps(b) for a, b in pairs)


def test_lines_are_named_where_they_end():
    rows = [("liking", -1, 0.3), ("liking", 0, 0.1), ("results", -1, 0.2), ("results", 0, 0.1)]
    frame = pd.DataFrame(rows, columns=["measure", "months_before", "mean"])
    ax = plot_before(frame.assign(low=frame["mean"] - 0.1, high=frame["mean"] + 0.1))
    places = {text.get_text(): text.get_position()[1] for text in ax.texts}
    assert set(places) == {"liking", "results"} and abs(places["liking"] - places["results"]) > 0.01
    assert ax.get_legend() is None


def test_money_in_short():
    told = [short_money(value, "EUR") for value in (0, 12.4, 999.6, 1_000, 9_960, 63_240, 1.2e6)]
    assert told == ["€0", "€12", "€1k", "€1k", "€10k", "€63k", "€1.2m"]
    assert short_money(13_100, "USD", plus=True) == "+$13k" and short_money(-0.2) == "0"


CUTOFF = dt.date(2025, 12, 31)
NOW = 2025 * 12 + 11


def served(client: str, start: str, end: str | None = None) -> dict:
    return {"client_id": client, "start_date": pd.Timestamp(start), "end_date": pd.Timestamp(end)}


def billed(client: str, **fees: float) -> list[dict]:
    months = {"before": NOW - 12, "now": NOW}
    return [{"client_id": client, "month": months[when], "fee": fee} for when, fee in fees.items()]


SPELLS = pd.DataFrame(
    [
        served("gone", "2023-01-01", "2025-06-30"),
        served("less", "2023-01-01"),
        served("more", "2023-01-01"),
        served("same", "2023-01-01"),
        served("came", "2025-03-01"),
        served("back", "2023-01-01", "2024-10-31"),
        served("back", "2025-02-01"),
        served("unpaid", "2023-01-01"),
    ]
)
MONEY = pd.DataFrame(
    [
        *billed("gone", before=100),
        *billed("less", before=300, now=250),
        *billed("more", before=400, now=480),
        *billed("same", before=50, now=50),
        *billed("came", now=70),
        *billed("back", now=30),
        *billed("unpaid", before=999),
    ]
)


def test_fees_of_a_year_ago_become_those_of_now_to_the_cent():
    moved = movements(SPELLS, MONEY, CUTOFF)
    steps = moved.steps.set_index("step")
    assert steps["amount"].to_dict() == {
        "before": 850,
        "churned": -100,
        "downgraded": -50,
        "upgraded": 80,
        "new": 100,
        "now": 880,
    }
    assert steps["clients"].to_list() == [4, 1, 1, 1, 2, 5]
    assert steps["start"].to_list() == [0, 850, 750, 700, 780, 0]
    assert steps["end"].to_list() == [850, 750, 700, 780, 880, 880]
    assert moved.left_out == 1 and "1 client without" in movement_caption(moved)
    assert titles.waterfall(moved.steps, "USD") == (
        "Churn took $100 of $850 a month; new clients replaced it"
    )
    assert "New by Dec 2025 100" in movement_words(moved)
    page = shown(plot_waterfall(moved.steps, "USD"))
    assert "−$100" in page and "+$80" in page


def test_fees_that_do_not_reach_back_a_year_have_no_steps():
    moved = movements(SPELLS, MONEY[MONEY["month"] == NOW], CUTOFF)
    assert moved.steps.empty and titles.waterfall(moved.steps) == ""
    assert "empty" in shown(plot_waterfall(moved.steps))
    assert movements(SPELLS, MONEY.head(0), CUTOFF).steps.empty


SCORES = pd.DataFrame(
    {
        "client": ["Ann & $on", "Ben", "Cy"],
        "risk": [0.5, 0.1, 0.3],
        "margin_a_month": [100.0, 1000.0, -50.0],
        "at_stake": [300.0, 600.0, -90.0],
        "act_by": ["2026-01-31", "2026-03-02", "2027-05-01"],
    }
)


def test_clients_with_most_margin_at_risk_are_named():
    frame = at_stake.risk_and_margin(SCORES)
    assert frame["client"].to_list() == ["Ben", "Ann & $on", "Cy"]
    assert frame["named"].to_list() == [True, True, False]
    assert at_stake.share_at_stake(frame) == 1.0
    assert titles.risk_margin(frame, 1.0) == "2 of 3 clients hold 100% of the margin at risk"
    page = shown(plot_risk_margin(frame, "USD"), data=frame)
    assert "Ann &amp; $on" in page and "$1k" in page


def test_clients_by_the_month_in_which_they_can_give_notice():
    frame = at_stake.last_days(SCORES, CUTOFF)
    assert len(frame) == 9 and frame["month"].iloc[0] == "Jan 2026"
    assert frame["clients"].to_list() == [1, 0, 1, 0, 0, 0, 0, 0, 0]
    assert frame["at_risk"].sum() == 1
    assert titles.last_days(frame) == ("1 client at risk could give notice in the next 9 months")
    assert "Jan" in shown(plot_last_days(frame))


def test_without_scores_there_is_no_picture():
    nothing = pd.DataFrame()
    standing, days = at_stake.risk_and_margin(nothing), at_stake.last_days(nothing, CUTOFF)
    assert titles.risk_margin(standing, float("nan")) == titles.last_days(days) == ""
    assert at_stake.risk_words(standing) and at_stake.last_days_words(days)
    for chart in (plot_risk_margin(standing), plot_last_days(days)):
        assert "empty" in shown(chart)


def test_a_grid_shows_its_numbers_in_cells():
    frame = pd.DataFrame({"row": ["High", "Low"], "column": ["Low"] * 2, "value": [-0.3, 0.4]})
    frame = frame.assign(text=["−30%", "+40%"], liking=["high", "low"], results="low")
    page = shown(plot_grid(frame, "Results"))
    assert "−30%" in page and "Results" in page
    assert titles.grid(frame.assign(beyond=frame["value"])) == (
        "With poor results, leavers over expected: +40% at low liking, −30% at high"
    )
    assert "empty" in shown(plot_grid(frame.head(0)))


def test_ranked_people_stand_out_only_beyond_chance():
    about = {"observed": [40.0, 9, 2], "expected": [16.0, 10, 0.4], "few": [False, False, True]}
    table = pd.DataFrame(about, index=["Ann", "Ben", "Cy"])
    table = table.assign(ratio=table["observed"] / table["expected"], low=[1.8, 0.4, 1], high=3.4)
    ordered = in_order(table.assign(beyond=[True, False, True]))
    assert ordered["name"].to_list() == ["Ann", "Ben"] and ordered["sense"].to_list() == ["bad", ""]
    assert titles.people(ordered) == "Ann loses 2.5 times the clients expected, beyond chance"
    assert titles.people(ordered.assign(sense="")).endswith("that may be chance")
    assert titles.people(ordered.assign(sense="", low=0.9)).startswith("Not one of 2")
    page = shown(plot_ranked(ordered, 1.0, times))
    assert "Ann" in page and "--no" in page and "Cy" not in page
    assert in_order(table.head(0)).empty and titles.people(ordered.head(0)) == ""


def test_rates_have_exact_limits():
    rows = [(f"c{k:02}", "2024-01-01", "2024-05-31" if k < 5 else None, 1) for k in range(20)]
    spells = build_spells(clients_of(rows), cutoff=dt.date(2024, 5, 31))
    sizes = [1000.0 * (1 + k // 5) for k in range(20)]
    frame = rates_with_limits(spells.assign(monthly_ad_spend=sizes))
    smallest = frame[["low", "high"]].iloc[0].to_list()  # five in 25 client-months
    assert smallest == pytest.approx([0.06494, 0.46673], abs=1e-5)
    assert frame["low"].to_list()[1:] == [0, 0, 0] and "<svg" in shown(plot_ranked(frame))
    nobody = rates_with_limits(spells.head(0))
    assert "empty" in shown(plot_ranked(nobody))


def test_fees_billed_and_to_come_are_one_line():
    ahead = pd.DataFrame({"group": "all", "month": range(1, 13), "mean": 900.0})
    ahead = ahead.assign(low=800.0, high=1000.0)
    frame = billed_and_ahead(MONEY, ahead, CUTOFF)
    assert frame["part"].to_list() == ["billed"] * 2 + ["ahead"] * 12
    assert frame["fees"].to_list()[:3] == [1849, 880, 900]
    assert frame["month"].iloc[2] == pd.Timestamp("2026-01-01")
    assert titles.billed(frame, "USD") == (
        "$880 were billed in Dec 2025; $900 are expected in a year"
    )
    assert titles.billed(frame.head(2)) == "880 were billed in Dec 2025"
    assert "<svg" in shown(plot_billed(frame, "USD"))
    nobody = pd.DataFrame(columns=MONEY.columns)
    coming = billed_and_ahead(nobody, ahead, CUTOFF)  # warnings are errors here
    assert set(coming["part"]) == {"ahead"}
    nothing = billed_and_ahead(nobody, ahead.head(0), CUTOFF)
    assert "empty" in shown(plot_billed(nothing)) and titles.billed(nothing) == ""


def test_answers_by_quarter():
    """Each client once a quarter, with its last answer: a, who answered twice, is a detractor."""
    months = pd.PeriodIndex(["2025-01", "2025-02", "2025-03", "2025-04"], freq="M")
    waves = pd.DataFrame({"wave": months, "client_id": ["a", "b", "a", "b"]})
    waves = waves.assign(answered_on=months.to_timestamp(), nps=[9, 10, 2, None])
    frame = nps.by_quarter(waves)
    assert frame[["promoters", "detractors", "answered"]].values.tolist() == [[1, 1, 2]]
    day = pd.Timestamp("2025-03-31")
    assert nps.today(waves.head(3), day)["nps"].iloc[0] == frame["nps"].iloc[0]
    assert titles.answers(frame) == "2025Q1: 50% promoters, 50% detractors"
    assert "Detractors" in shown(plot_answers(frame))
    assert "empty" in shown(plot_answers(nps.by_quarter(waves.head(0))))


def test_cohorts_stand_where_all_could_have_been_there_so_long():
    start = pd.to_datetime(["2024-01-01"] * 5 + ["2024-06-30"] * 5 + ["2025-08-01"] * 9)
    spells = pd.DataFrame({"start_date": start, "entry_months": 0, "end_date": pd.NaT})
    spells.loc[:3, "end_date"] = pd.Timestamp("2024-05-01")
    frame = cohorts(spells, pd.Timestamp(CUTOFF))
    first = frame[frame["row"] == "2024 H1"]
    assert first["month"].to_list() == [3, 6, 12, 18]
    assert first["value"].to_list() == [1.0, 0.6, 0.6, 0.6]
    assert titles.cohorts(frame) == "60% of those signed in 2024 H1 remained after a year"
    assert cohorts(spells.assign(entry_months=3), pd.Timestamp(CUTOFF)).empty


def test_margins_and_moves_between_tiers():
    frame = pd.DataFrame({"client": ["Ann", "Ben"], "margin": [50.0, -1200.0]})
    assert (
        titles.margins(frame, "USD")
        == "1 of 2 clients with known margins cost more than they pay: $1.2k a month"
    )
    assert "Ann" in shown(plot_margins(frame)) and "--no" in shown(plot_margins(frame))
    assert "empty" in shown(plot_margins(frame.head(0)))
    before = pd.Series({"a": "best", "b": "best", "c": "worst"})
    grid = tier_grid(before, pd.Series({"a": "workable", "c": "best"}))
    assert grid.loc[grid["clients"] > 0, "kind"].to_list() == ["down", "left", "up"]
    assert titles.tiers(grid) == "Of 3 clients 1 moved up a tier, 1 down, 1 left"
    assert tier_grid(before.head(0), before).empty


def test_gains_are_green_and_losses_red():
    assert gains(None).empty and titles.gains(gains(None)) == ""
    frame = pd.DataFrame({"name": ["one more", "fewer"], "estimate": [10.0, -5]})
    frame = frame.assign(low=[5.0, -9], high=[20.0, -1], sense=["good", "bad"])
    assert titles.gains(frame, "USD") == "Of the changes tried, one more brings most: +$10 a month"
    page = shown(plot_ranked(frame, 0.0, in_money("USD")))
    assert "--yes" in page and "--no" in page
