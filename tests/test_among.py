"""One's own agency among others: `[pool] file` in retention.toml, and what is said beside a claim."""

import json
import math
from pathlib import Path

import jsonschema
import pytest

from agencies import field
from retention.claims.judge import CLAIMS, judge
from retention.claims.registry import Judged, Ways
from retention.contrast import Contrast
from retention.data.privacy import without_places
from retention.errors import ConfigError
from retention.pool.page import write_pool
from retention.pool.share import share
from retention.report.heads import evidence_of
from retention.results import MIME, finite, schema, to_json
from retention.settings import resolve

FEW = Contrast("", math.log(1.1), 0.35, 90, {"a": 25, "b": 25})


@pytest.fixture(scope="module")
def pooled(tmp_path_factory) -> Path:
    """The pooled.json of twelve agencies whose true ratio is about 2."""
    folder = tmp_path_factory.mktemp("field")
    paths = []
    for run in field(folder, 12, 5, mean=math.log(2)):
        path = folder / f"{run.parent.name}.json"
        path.write_text(to_json(share(run).payload()))
        paths.append(path)
    return write_pool(paths, folder / "out").parent / "pooled.json"


def settings_with(folder: Path, text: str):
    (folder / "retention.toml").write_text(text)
    return resolve(config=str(folder / "retention.toml"))


@pytest.fixture
def others(pooled):
    return settings_with(pooled.parent, '[pool]\nfile = "pooled.json"\n').others


def test_the_settings_hold_what_the_file_says(pooled, others):
    told = {claim["id"]: claim for claim in json.loads(pooled.read_text())["claims"]}
    assert set(others) == {"A1", "A4"}
    assert others["A1"].agencies == told["A1"]["agencies"] == 12
    assert list(others["A1"].next) == told["A1"]["pooled"]["next"]


def test_the_verdict_stays_that_of_ones_own_data(others):
    alone = Judged(CLAIMS["A1"], Ways(FEW)).verdict
    beside = Judged(CLAIMS["A1"], Ways(FEW), others=others["A1"]).verdict
    assert alone.among is None
    for name in ("verdict", "estimate", "low", "high", "answer", "advice"):
        assert getattr(alone, name) == getattr(beside, name)
    assert "The verdict is that of your own data alone." in beside.among.sentence


def test_the_own_estimate_is_drawn_towards_the_field(others):
    """The less is known, the nearer to the field, and surer than own data alone."""
    found = Judged(CLAIMS["A1"], Ways(FEW), others=others["A1"]).verdict.among
    assert 1.1 < found.own < found.estimate
    low, high = found.own_interval
    alone = judge(CLAIMS["A1"], FEW).interval_95
    assert math.log(high / low) < math.log(alone[1] / alone[0])
    sure = Contrast("", math.log(1.1), 0.02, 9000, {"a": 2500, "b": 2500})
    known = Judged(CLAIMS["A1"], Ways(sure), others=others["A1"]).verdict.among
    assert known.own == pytest.approx(1.1, abs=0.01)


def test_too_little_to_judge_shows_the_field_alone(others):
    gated = Contrast("", 0.2, 0.5, 20, {"a": 3, "b": 30})
    found = Judged(CLAIMS["A1"], Ways(gated), others=others["A1"]).verdict.among
    assert math.isnan(found.own)
    assert found.sentence.endswith("give no estimate to draw towards them.")


def test_another_quantity_is_not_set_beside_it(others):
    other = others["A1"].model_copy(update={"estimand": "0123456789abcdef"})
    assert Judged(CLAIMS["A1"], Ways(FEW), others=other).verdict.among is None


def test_what_is_shown_and_handed_over(others):
    judged = Judged(CLAIMS["A1"], Ways(FEW), others=others["A1"])
    bundle = judged._repr_mimebundle_()
    claim = json.loads(json.dumps(finite(bundle[MIME])))["claims"][0]
    known = {"schema": 2, "run_id": "2025-12-31-0", "cutoff": "2025-12-31", "estimates": []}
    jsonschema.validate(known | {"claims": [claim]}, schema())
    assert "12 other agencies together" in bundle["text/html"]
    assert claim["among"]["short"] in evidence_of(claim)


def test_a_file_that_is_no_field_is_refused(tmp_path):
    for text in ("", "[]", '{"schema": 2}', '{"schema": 1, "claims": [{"pooled": {}}]}'):
        (tmp_path / "other.json").write_text(text)
        with pytest.raises(ConfigError, match=r"\[pool\] file: other.json is not a pooled.json"):
            settings_with(tmp_path, '[pool]\nfile = "other.json"\n')
    with pytest.raises(ConfigError, match="others_: unknown setting"):
        settings_with(tmp_path, "[others.A1]\nagencies = 3\n")


def test_codes_for_names_leave_out_what_the_file_is_called(pooled):
    settings = settings_with(pooled.parent, '[pool]\nfile = "pooled.json"\n')
    plain = without_places(settings)
    assert plain.pool.file == "" and plain.others == settings.others


def test_three_agencies_stand_beside_nothing(tmp_path):
    paths = []
    for run in field(tmp_path, 3, 5):
        path = tmp_path / f"{run.parent.name}.json"
        path.write_text(to_json(share(run).payload()))
        paths.append(path)
    write_pool(paths, tmp_path)
    assert settings_with(tmp_path, '[pool]\nfile = "pooled.json"\n').others == {}
