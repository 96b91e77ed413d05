"""What leaves an agency: nothing by which a client could be found."""

import json
import math
import re
import stat
from collections import Counter
from pathlib import Path

import jsonschema
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from agencies import claim_row, estimate_row, write_run
from retention.claims.judge import CLAIMS
from retention.cli import cli
from retention.errors import ConfigError
from retention.pool.blur import FILE, Blur
from retention.pool.shape import Shared, read_shared, schema
from retention.pool.share import normal, share

NUMBERS = re.compile(r"^[0-9.\-]+$")


def texts_of(value) -> set[str]:
    """Every text in a JSON value, names of fields left out."""
    if isinstance(value, dict):
        return set().union(*map(texts_of, value.values()), set())
    if isinstance(value, list):
        return set().union(*map(texts_of, value), set())
    return {value} if isinstance(value, str) else set()


@pytest.fixture
def run(tmp_path) -> Path:
    rows = [claim_row("A1", math.log(1.7), 0.1398, 536), claim_row("A6", 0.318, 0.1015, 376)]
    return write_run(tmp_path / "reports", rows, 597)


def test_what_is_shared_of_a_run(run):
    found = share(run)
    first = found.claims[0]
    assert first.id == "A1"
    assert abs(first.theta - math.log(1.7)) < 4 * 0.5 * 0.1398
    assert 0.13 < first.se < 0.2
    assert (first.clients % 5, first.ends % 5, found.size % 50) == (0, 0, 0)
    assert (found.until, found.months) == ("2025-Q4", 60)
    assert (found.kind, found.contracts, found.fixed_share) == ("dates", True, 0.5)
    assert {row.name for row in found.estimates} == {"still_monthly", "still_six", "still_twelve"}
    jsonschema.validate(found.payload(), schema())


def test_the_schema_is_that_of_the_model():
    made = Shared.model_json_schema(by_alias=True)
    assert json.loads(json.dumps(made)) == schema()


def test_no_text_of_an_agency_fits_the_schema(run):
    """Names put in any place where a text may stand are refused."""
    whole = share(run).payload()
    places = [("agency",), ("until",), ("kind",), ("claims", 0, "id"), ("estimates", 0, "name")]
    for place in places:
        broken = json.loads(json.dumps(whole))
        inside = broken
        for step in place[:-1]:
            inside = inside[step]
        inside[place[-1]] = "Lark & Field Agency"
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(broken, schema())
        with pytest.raises(ValueError):
            Shared.model_validate(broken)
    with pytest.raises(ValueError):
        Shared.model_validate(whole | {"note": "free text"})


def test_rows_on_few_clients_stay_home(tmp_path):
    few = claim_row("A1", 0.5, 0.4, 8, n_events=4)
    all_left = claim_row("A4", 0.5, 0.4, 40, n_events=38)
    gated = claim_row("A8", 0.5, 0.4, 400, gated=True)
    found = share(write_run(tmp_path, [few, all_left, gated], 60))
    assert [(row.theta, row.why) for row in found.claims] == [(None, "few")] * 3


def test_an_agency_may_ask_for_more_clients_a_row_and_not_for_fewer(tmp_path):
    rows = [claim_row("A1", 0.5, 0.2, 307)]
    strict = share(write_run(tmp_path / "a", rows, 307, privacy={"smallest": 20}))
    lax = share(write_run(tmp_path / "b", rows, 307, privacy={"smallest": 0}))
    assert (strict.smallest, strict.claims[0].clients % 20) == (20, 0)
    assert lax.smallest == 5


def test_a_group_that_all_left_is_not_told(tmp_path):
    """A share of 0 or 1 would say of each of its clients what it did."""
    run = write_run(tmp_path, [], 300)
    results = json.loads((run / "results.json").read_text())
    key = "contract_term.estimate.still_client:12/contract_term.group.monthly"
    kept = [row for row in results["estimates"] if row["key"] != key]
    results["estimates"] = [*kept, estimate_row(key, (1.0, 0.9, 1.0), 150)]
    (run / "results.json").write_text(json.dumps(results))
    assert share(run).estimate("still_monthly") is None


def test_an_interval_that_is_not_symmetric_has_no_standard_error(tmp_path):
    row = claim_row("A7", 0.2, 0.1, 500) | {"interval_95": [1.0, 1.77]}
    found = share(write_run(tmp_path, [row], 500))
    assert (found.claims[0].theta, found.claims[0].why) == (None, "skewed")


def blurs(count: int) -> list[Blur]:
    """The noise of so many agencies."""
    return [Blur("", number.to_bytes(32), 5) for number in range(count)]


def test_noise_is_half_a_standard_error_and_the_error_allows_for_it():
    told = np.array([blur.estimate("A1", 0.5, 0.2) for blur in blurs(2000)])
    assert told[:, 0].mean() == pytest.approx(0.5, abs=0.01)
    assert told[:, 0].std() == pytest.approx(0.1, rel=0.05)
    assert told[:, 1].mean() == pytest.approx(0.2 * math.sqrt(1.25), rel=0.01)


def test_a_count_says_little_of_one_client_more_or_less():
    """No count that can be told is much more likely with 160 clients than with 159."""
    first, second = (Counter(blur.count("A1", n) for blur in blurs(20_000)) for n in (160, 159))
    often = [told for told in first if min(first[told], second[told]) > 1000]
    assert len(often) >= 4
    for told in often:
        assert first[told] / second[told] == pytest.approx(1, abs=0.3)
    assert sum(told * n for told, n in first.items()) / 20_000 == pytest.approx(158, abs=0.5)


def test_asking_again_gains_nothing(run):
    """Noise cannot be averaged away: the same run gives the same file; other data other noise."""
    assert share(run) == share(run)
    blur = blurs(1)[0]
    near = [blur.estimate("A1", 0.5 + step / 1e6, 0.2)[0] for step in range(50)]
    assert np.std(near) > 0.05


def test_a_ratio_and_its_interval_give_back_the_standard_error():
    row = claim_row("A1", 0.5, 0.2, 300)
    assert normal(row["estimate"], *row["interval_95"], "log") == pytest.approx((0.5, 0.2))


def test_an_agency_has_one_code_that_says_nothing_of_it(run, tmp_path):
    code = share(run).agency
    kept = run.parent / FILE
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert kept.read_text().split()[0] == code
    assert kept.read_text().split()[1] not in json.dumps(share(run).payload())
    assert share(write_run(tmp_path / "other", [], 597)).agency != code
    kept.write_text("Lark & Field Agency")
    with pytest.raises(ConfigError, match="does not hold the code"):
        share(run)


def test_it_is_shown_before_it_is_written(run, tmp_path):
    out = tmp_path / "shared.json"
    asked = CliRunner().invoke(cli, ["share", str(run), "--out", str(out)], input="n\n")
    assert asked.exit_code == 1 and not out.exists() and '"theta"' in asked.stdout
    done = CliRunner().invoke(cli, ["share", str(run), "--out", str(out)], input="y\n")
    assert done.exit_code == 0
    assert read_shared(out) == share(run)


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="holds no run"):
        share(tmp_path)
    old = [claim_row("A1", 0.5, 0.2, 300, estimand="something else")]
    with pytest.raises(ConfigError, match="another plan"):
        share(write_run(tmp_path / "old", old, 300))


def test_a_file_that_is_not_of_this_command_is_refused(tmp_path):
    path = tmp_path / "shared.json"
    for text in (b"", b"[]", b'{"schema": 1}', b"\xff"):
        path.write_bytes(text)
        with pytest.raises(ConfigError, match=r"shared\.json is not a file of"):
            read_shared(path)


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        ({"theta": 1e300}, "of this size"),
        ({"theta": -21.0}, "of this size"),
        ({"se": 1e-300}, "of this size"),
        ({"theta": None}, "both be known"),
        ({}, "stands in it twice"),
    ],
)
def test_what_no_agency_can_have_is_refused(run, tmp_path, spoilt, said):
    payload = share(run).payload()
    known = next(row for row in payload["claims"] if row["theta"] is not None)
    if spoilt:
        known |= spoilt
    else:
        payload["claims"].append(known)
    path = tmp_path / "shared.json"
    path.write_text(json.dumps(payload))
    with pytest.raises(ConfigError, match=said):
        read_shared(path)


def test_no_name_or_id_of_the_source_is_in_the_file(shared_report):
    """Every text cell of every table of the agency, and every day."""
    found = share(shared_report / "out" / "latest")
    assert {row.id for row in found.claims} == set(CLAIMS)
    text = json.dumps(found.payload())
    told = texts_of(found.payload())
    ours = json.dumps(schema())  # the study's own words are no secret of an agency's
    for path in (shared_report / "data").glob("*.csv"):
        table = pd.read_csv(path, dtype=str).fillna("")
        values = {value for column in table for value in table[column]}
        words = {value for value in values if value and not NUMBERS.match(value)}
        assert not words & told, path.name
        assert not [
            value for value in words if len(value) > 3 and value in text and value not in ours
        ], path.name
    about = json.loads((shared_report / "out" / "latest" / "run.json").read_text())
    for secret in (about["whose"], about["cutoff"], about["run_id"], *about["data"].values()):
        assert secret not in text
