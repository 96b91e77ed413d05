"""T4: every column of every table, broken in every way that is declared, is a fault or a warning
that names it.
"""

import datetime as dt

import pandas as pd
import pytest

from retention.data import read, warnings_of
from retention.data.broken import FAULT, WARNING
from retention.data.rules import RULES, in_words
from retention.data.schema import TABLES
from retention.data.words import read_words
from retention.errors import DataError
from retention.sample import write_sample
from retention.settings import resolve
from retention.study import open_study

pytestmark = pytest.mark.slow  # minutes: such files come first, so that no core waits for them

CUTOFF = dt.date(2025, 12, 31)
LAST, DAY = pd.Timestamp(CUTOFF), pd.Timedelta(days=1)
KIND_WORDS = read_words("rules.toml")["kinds"]
WARNED = [rule for rule in RULES if rule.grade == WARNING]


def name_of(rule) -> str:
    return f"{rule.table}.{rule.column} {rule.kind}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("agency")
    write_sample(path, clients=60, months=36, seed=4)
    return path


@pytest.fixture(scope="module")
def agency(folder):
    """The tables of a small agency, with a client that another one sent."""
    frames = dict(read(resolve(str(folder))).frames)
    clients = frames["clients"]
    referred = pd.Series(pd.NA, clients.index, dtype="string")
    referred.iloc[5] = clients["client_id"].iloc[0]
    frames["clients"] = clients.assign(referred_by=referred)
    return frames


def a_row(frames, rule):
    """The place of a row whose values, and those it is joined with, are all there."""
    rows = frames[rule.table]
    there = [name for name in {rule.column, rule.other, *rule.by} - {""} if name in rows]
    whole = rows[there].notna().all(axis=1)
    if rule.kind in ("joined_not_before", "joined_not_after"):
        whole &= joined(frames, rule).notna()
    if rule.kind in ("outlier", "joined_scale"):
        whole &= rows[rule.column] > 0
    if rule.kind == "joined_scale":
        whole &= ~rows.duplicated(list(rule.by), keep=False)
    return rows.index[whole if whole.any() else rows.index >= 0][0]


def joined(frames, rule):
    table, column = rule.there
    by = rule.by[0]
    return frames[rule.table][by].map(frames[table].drop_duplicates(by).set_index(by)[column])


def put(frames, rule, at, value):
    """The tables with another value in the rule's column of one row."""
    rows = frames[rule.table].copy()
    rows.loc[at, rule.column] = value
    return {**frames, rule.table: rows}


def pair(frames, rule):
    """Two rows of one group, the earlier one first."""
    rows = frames[rule.table]
    for name, value in rule.where.items():
        rows = rows[rows[name] == value]
    rows = rows.sort_values([*rule.by, rule.column])
    again = rows.duplicated(list(rule.by))
    second = rows.index.get_loc(rows.index[again][0])
    return rows.index[second - 1], rows.index[second]


def breaks(frames, rule):
    """The tables broken against the rule, in each way that it can be; with the number of rows where
    that is certain.
    """
    rows, at = frames[rule.table], a_row(frames, rule)
    value, slack = rows.loc[at, rule.column], rule.slack * DAY
    if rule.kind == "not_before":
        yield put(frames, rule, at, rows.loc[at, rule.other] - slack - DAY)
    elif rule.kind == "not_after":
        yield put(frames, rule, at, rows.loc[at, rule.other] + slack + DAY)
    elif rule.kind == "given_with":
        kept = {**frames, rule.table: rows.assign(**{rule.other: rows[rule.other].astype(object)})}
        kept[rule.table].loc[at, rule.other] = None
        kept[rule.table][rule.other] = kept[rule.table][rule.other].astype(rows[rule.other].dtype)
        if rows[rule.column].isna().all():
            kept = put(kept, rule, at, rows["client_id"].iloc[0])
        yield kept
    elif rule.kind == "above":
        yield put(frames, rule, at, rule.low)
        yield put(frames, rule, at, rule.low - 5)
    elif rule.kind == "below_zero":
        yield put(frames, rule, at, -5.0)
    elif rule.kind == "itself":
        yield put(frames, rule, at, rows.loc[at, rule.other])
    elif rule.kind == "overlap":
        first, second = pair(frames, rule)
        yield put(frames, rule, second, rows.loc[first, rule.column] + DAY)
    elif rule.kind == "sum":
        yield put(frames, rule, at, 3000.0)
    elif rule.kind == "spelling":
        yield put(frames, rule, at, value.upper())
        yield put(frames, rule, at, f"{value.title()}-")
        yield put(frames, rule, at, f"{value}s")
    elif rule.kind == "outlier":
        usual = rows[rule.column].where(rows[rule.column] > 0).median()
        if rule.by:
            own = (rows[list(rule.by)] == rows.loc[at, list(rule.by)]).all(axis=1)
            usual = rows.loc[own, rule.column].median()
        yield put(frames, rule, at, float(usual) * rule.times * 1.5)
        yield put(frames, rule, at, float(usual) / rule.times / 1.5)
    elif rule.kind == "mixed_scale":
        quarter = rows[rule.day].dt.to_period("Q")
        some = quarter == rows.loc[rows[rule.column].notna(), rule.day].dt.to_period("Q").mode()[0]
        halved = rows[rule.column].where(~some, rows[rule.column] // 2)
        yield {**frames, rule.table: rows.assign(**{rule.column: halved})}
    elif rule.kind == "alike":
        other = rows.index[rows[rule.column] != value][0]
        yield put(frames, rule, other, value.upper() if value.upper() != value else value.lower())
        yield put(frames, rule, other, f"{value}\u200b")
        yield put(
            frames, rule, other, value.translate(str.maketrans("cars", "\u0441\u0430rs")) + "\u00a0"
        )
    elif rule.kind == "sealed":
        yield put(frames, rule, at, "1-1-0")
        yield {**frames, rule.table: rows.drop(index=at)}
        yield {**frames, rule.table: rows.drop(index=rows.index[rows["seal"] == value])}
    elif rule.kind == "twice":
        yield {**frames, rule.table: pd.concat([rows, rows], ignore_index=True)}
    elif rule.kind == "known":
        yield put(frames, rule, at, "nobody")
    elif rule.kind == "more_often":
        other = rows.index[rows[rule.column].notna() & (rows[rule.column] != value)][0]
        yield put(frames, rule, other, value)
    elif rule.kind == "inside":
        clients = frames["clients"].set_index("client_id")
        gone = clients["end_date"].notna() & (clients["end_date"] < LAST - 800 * DAY)
        at = rows.index[rows["client_id"].isin(clients.index[gone])][0]
        mine = clients.loc[[rows.loc[at, "client_id"]]]
        yield put(frames, rule, at, mine["start_date"].min() - (rule.before + 1) * DAY)
        yield put(frames, rule, at, mine["end_date"].max() + (rule.after + 1) * DAY)
    elif rule.kind == "joined_not_before":
        yield put(frames, rule, at, joined(frames, rule)[at] - slack - DAY)
    elif rule.kind == "joined_not_after":
        yield put(frames, rule, at, joined(frames, rule)[at] + slack + DAY)
    elif rule.kind == "joined_scale":
        yield put(frames, rule, at, joined(frames, rule)[at] * 100)
        yield put(frames, rule, at, joined(frames, rule)[at] / 100)
        yield put(frames, rule, at, -joined(frames, rule)[at] * 2)
    elif rule.kind == "ahead":
        yield put(frames, rule, at, LAST + slack + DAY)
        yield put(frames, rule, at, LAST + slack + 9000 * DAY)
    elif rule.kind == "old":
        yield put(frames, rule, at, pd.Timestamp("1949-12-31"))
    else:
        pytest.fail(f"{rule.kind}: nobody has said how it is broken")


def test_T4_the_unbroken_agency_is_silent(agency):
    assert warnings_of(agency, CUTOFF) == ()


@pytest.mark.parametrize("rule", WARNED, ids=name_of)
def test_T4_a_broken_rule_is_told_with_table_column_and_count(agency, rule):
    ways = list(breaks(agency, rule))
    assert ways
    for frames in ways:
        needed = {name: frames[name] for name in {rule.table, "clients", rule.there[0]} - {""}}
        own = [warning for warning in warnings_of(needed, CUTOFF) if is_of(warning, rule)]
        assert own, frames[rule.table].head()
        assert all(warning.count > 0 and warning.ids and warning.remedy for warning in own)
        text = in_words(own[0])
        assert rule.table in text and rule.column in text and "[" not in text


def is_of(warning, rule) -> bool:
    """Whether a warning is that of the rule: of its column, in the words of its kind."""
    before, _, rest = KIND_WORDS[rule.kind][0].partition("{")
    worded = warning.problem.startswith(before) and rest.rpartition("}")[2] in warning.problem
    return (warning.table, warning.column) == (rule.table, rule.column) and worded


def test_T4_every_rule_names_columns_that_are_declared():
    for rule in RULES:
        names = {column.name for column in TABLES[rule.table].columns}
        assert rule.needs <= names, name_of(rule)
        table, column = rule.there
        assert not table or column in {about.name for about in TABLES[table].columns}, name_of(rule)
        assert rule.grade in (FAULT, WARNING)


# The declarations of columns


def sheets(folder) -> dict[str, pd.DataFrame]:
    return {
        name: pd.read_csv(folder / f"{name}.csv", dtype=str, keep_default_na=False).head(40)
        for name in TABLES
    }


@pytest.fixture(scope="module")
def texts(folder):
    """The tables as text, a few rows of clients that are there."""
    made = sheets(folder)
    clients = pd.read_csv(folder / "clients.csv", dtype=str, keep_default_na=False)
    made["clients"] = clients
    made["surveys"] = made["surveys"][made["surveys"]["answered_on"] != ""]
    return {name: rows.reset_index(drop=True) for name, rows in made.items()}


def few(texts) -> pd.DataFrame:
    """The clients with the columns that are needed, which are read in no time."""
    return texts["clients"][list(TABLES["clients"].required)]


def unreadable(column) -> str | None:
    return None if column.kind in ("id", "text", "category") else "~~"


def too_low(column) -> str | None:
    return None if column.low is None else str(int(column.low) - 1)


def too_high(column) -> str | None:
    return None if column.high is None else str(int(column.high) + 1)


def unknown_word(column) -> str | None:
    return "~~" if column.choices else None


def blank(column) -> str | None:
    return None if column.may_be_blank else ""


WAYS = {way.__name__: way for way in (unreadable, too_low, too_high, unknown_word, blank)}


CAN = [
    (table, way) for table in TABLES for way in WAYS if any(map(WAYS[way], TABLES[table].columns))
]
CAN += [(table, "blank") for table in TABLES]  # where blank is the break, the value is empty too


@pytest.mark.parametrize(("table", "way"), CAN)
def test_T4_each_column_that_breaks_its_declaration_is_a_fault_that_names_it(
    texts, tmp_path, table, way
):
    rows = texts[table].copy()
    broken = {
        column.name: WAYS[way](column) for column in TABLES[table].columns if column.name in rows
    }
    broken = {name: value for name, value in broken.items() if value is not None}
    for at, (name, value) in enumerate(broken.items()):
        rows.loc[at, name] = value
    with pytest.raises(DataError) as caught:
        read(resolve(str(written(tmp_path, {"clients": few(texts), table: rows}))))
    named = {(fault.table, fault.column) for fault in caught.value.faults}
    assert {(table, name) for name in broken} <= named


def written(folder, tables) -> str:
    for name, rows in tables.items():
        rows.to_csv(folder / f"{name}.csv", index=False)
    (folder / "retention.toml").write_text('records_begin = "all history"\ncutoff = 2025-12-31\n')
    return folder


@pytest.mark.parametrize("table", TABLES)
def test_T4_required_columns_that_are_absent_are_faults(texts, tmp_path, table):
    first, *others = TABLES[table].required
    for names in ([first], others):
        rows = texts[table].drop(columns=names)
        with pytest.raises(DataError) as caught:
            read(resolve(str(written(tmp_path, {"clients": few(texts), table: rows}))))
        assert {(table, name) for name in names} <= {
            (fault.table, fault.column) for fault in caught.value.faults
        }


def test_T4_months_in_mid_month_are_told(texts, tmp_path):
    for name in ("account_months", "results"):
        rows = texts[name].copy()
        rows.loc[0, "month"] += "-15"
        tables = read(resolve(str(written(tmp_path, {"clients": few(texts), name: rows}))))
        assert any(
            f"{name}.month: a day in mid-month read as its month (1 cell)" in text
            for text in tables.repairs
        )


def test_T4_two_currencies_in_two_columns_are_told(texts, tmp_path):
    rows = texts["account_months"].copy()
    rows["fee"], rows["ad_spend"] = "\u20ac" + rows["fee"], rows["ad_spend"] + " USD"
    clients = texts["clients"].assign(monthly_ad_spend="$" + texts["clients"]["monthly_ad_spend"])
    tables = read(resolve(str(written(tmp_path, {"clients": clients, "account_months": rows}))))
    assert [(w.table, w.column) for w in tables.warnings] == [("account_months", "fee")]
    assert "is in \u20ac, other columns are in" in tables.warnings[0].problem


@pytest.mark.parametrize("table", ["hours", "invoices"])
def test_T4_a_table_given_twice_is_told_though_its_rows_are_added_up(texts, tmp_path, table):
    rows = pd.concat([texts[table]] * 2)
    tables = read(resolve(str(written(tmp_path, {"clients": few(texts), table: rows}))))
    assert [(w.table, w.problem[:24]) for w in tables.warnings] == [
        (table, "stands in the table twic")
    ]


def test_T4_warnings_stand_on_the_page_of_the_data(texts, tmp_path):
    meetings = texts["meetings"].copy()
    meetings.loc[0, "held_on"] = "2026-03-01"
    study = open_study(str(written(tmp_path, {"clients": few(texts), "meetings": meetings})))
    said = [item.text for item in study.warnings().items]
    assert any("Table meetings: held_on is after the cut-off. In 1 row" in text for text in said)


def test_T4_many_broken_rules_are_one_sentence_but_on_the_page_of_the_data(texts, tmp_path):
    meetings, flags = texts["meetings"].copy(), texts["flags"].copy()
    meetings.loc[0, "held_on"], meetings.loc[1, "held_on"] = "2026-03-01", "1949-03-01"
    flags.loc[0, "noted_on"], flags.loc[1, "noted_on"] = "2026-03-01", "1949-03-01"
    study = open_study(
        str(written(tmp_path, {"clients": few(texts), "meetings": meetings, "flags": flags}))
    )
    every = [
        item.text
        for item in study.warnings(every_rule=True).items
        if item.text.startswith("Table ")
    ]
    short = [item.text for item in study.warnings().items]
    assert len(every) == 4 and not any(text.startswith("Table ") for text in short)
    assert (
        "4 things in the records look wrong (meetings.held_on, flags.noted_on): page 00 lists them."
        in short
    )


@pytest.mark.parametrize("early", ["2024-06-30", "2023-01-31"])
def test_T4_an_earlier_cutoff_is_no_reason_to_warn(agency, early):
    assert warnings_of(agency, dt.date.fromisoformat(early)) == ()


@pytest.mark.parametrize("table", TABLES)
def test_T4_columns_that_are_absent_blank_or_filled_once_and_short_tables_stop_no_rule(
    agency, table
):
    rows = agency[table]
    needed = set().union(*(rule.needs for rule in RULES if rule.table == table)) & set(rows)
    shapes = [rows.head(1), rows.head(0)]
    for name in needed:
        some = rows.head(30)
        blank = some.assign(**{name: some[name].where(pd.Series(False, some.index))})
        once = blank.copy()
        once.loc[0, name] = rows[name].dropna().iloc[0]
        shapes += [some.drop(columns=name), blank, once]
    keys = {"client_id", "start_date", "end_date"} if table == "clients" else set()
    for shape in shapes:
        if keys <= set(shape) and len(shape.columns):
            frames = {"clients": agency["clients"], "staff": agency["staff"], table: shape}
            assert isinstance(warnings_of(frames, CUTOFF), tuple)


def test_T4_signs_that_make_another_word_are_no_spelling():
    source = pd.Series(["C", "C++", "C#", "<5", ">5", "5"] * 3)
    clients = pd.DataFrame({"client_id": [f"c{i}" for i in range(18)], "source": source})
    assert warnings_of({"clients": clients}, CUTOFF) == ()
