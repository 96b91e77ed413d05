"""A slice of the fuzz (`make fuzz` runs all of it), and that the fuzz itself sees what it
should.
"""

from pathlib import Path

import pytest

import fuzz

pytestmark = pytest.mark.slow  # minutes: such files come first, so that no core waits for them

SLICE = (
    "the first 3 clients",
    "all started in the last month",
    "all ends are to come",
    "all reps new",
    "fees, hours and costs and no rep",
)


@pytest.mark.parametrize("name", SLICE)
def test_an_odd_agency_has_every_page(quick, name):
    outcome, stops = fuzz.run(next(each for each in fuzz.of_agency() if each.name == name))
    assert outcome == "run"
    assert stops == [], fuzz.told(stops)


def test_every_optional_column_of_every_table_is_tried_absent_blank_and_filled_once():
    names = {each.name for table in fuzz.TABLES for each in fuzz.of_columns(table)}
    for table in fuzz.TABLES.values():
        for column in table.columns:
            if not column.required and column.name in fuzz.usual()[table.name]:
                tried = {
                    f"{table.name}.{column.name}: {how}"
                    for how in ("absent", "blank", "filled once")
                }
                assert tried <= names


def test_inputs_are_the_same_for_the_same_seed_and_named_apart():
    names = [each.name for each in fuzz.inputs(5)]
    assert names == [each.name for each in fuzz.inputs(5)]
    assert len(names) == len(set(names)) > 300


def test_what_stops_a_notebook_is_told_with_where_and_why(tmp_path):
    path = Path(tmp_path / "x.ipynb")
    path.write_text('{"cells": [{"cell_type": "code", "metadata": {}, "source": ["a = 1 / 0"]}]}')
    (stop,) = fuzz.run_notebook("an input", path, tmp_path)
    assert (stop.given, stop.notebook, stop.error) == (
        "an input",
        "x",
        "ZeroDivisionError: division by zero",
    )
    assert "1x x: ZeroDivisionError" in fuzz.told([stop])
