"""What simulations keep: begun anew where the code changes, gone on with where a run was stopped."""

import json

import kept


def test_a_run_goes_on_where_it_was_stopped(tmp_path):
    path, script = tmp_path / "kept.jsonl", tmp_path / "script.py"
    script.write_text("x = 1\n")
    done = []

    def one(key):
        done.append(key)
        return {"value": key[1] * 2}

    keys = [("a", 1), ("a", 2)]
    assert kept.gather(path, str(script), keys, one)["a", 2] == {"value": 4}
    with path.open("a") as stream:
        stream.write('{"code": "cut sho')  # stopped while it wrote
    more = kept.gather(path, str(script), keys[:1], one)
    assert list(more) == [("a", 1)] and len(done) == 2
    script.write_text('"""Words."""\n\nx = 1  # one\n')
    assert len(kept.gather(path, str(script), keys, one)) == 2 and len(done) == 2
    script.write_text("x = 2\n")
    assert kept.gather(path, str(script), keys, one, only_kept=True) == {}
    kept.gather(path, str(script), keys, one)
    kept.gather(path, str(script), keys, one)
    assert len(done) == 4


def test_figures_hang_on_the_modules_that_are_imported(tmp_path, monkeypatch):
    script = tmp_path / "script.py"
    script.write_text("")
    monkeypatch.setattr(kept, "PACKAGE", tmp_path)
    before = kept.version(str(script))
    (tmp_path / "plan.toml").write_text("a = 1")
    assert kept.version(str(script)) != before
    assert json.dumps(before)
