"""The words: every text is used and can be rendered, and every id in the code has a text with its
fields.
"""

import ast
import json
import re
from pathlib import Path

import pytest

from retention.claims.judge import CLAIMS
from retention.results import VERDICTS
from retention.words import Said, fields_of, in_short, key_of, say, texts, together

ROOT = Path(__file__).parents[1]
SOURCES = [
    path for path in (ROOT / "src" / "retention").rglob("*.py") if path.parent.name != "words"
]
CALLS = ("say", "heading")
# looked up by the names that tables have, or by the ids of other texts
ASKED_BY_VALUE = ("columns.", "short.")


def calls(source: str) -> list[tuple[str, bool, set[str] | None]]:
    """Every id that a source asks words for: the id, whether it is only a beginning, and the fields
    that it gives.
    """
    found = []
    for node in ast.walk(ast.parse(source)):
        if not (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "say"
        ):
            continue
        given = (
            {word.arg for word in node.keywords if word.arg}
            if all(w.arg for w in node.keywords)
            else None
        )
        for part in _ids(node.args[0]):
            found.append((*part, given))
    return found


def _ids(node: ast.expr) -> list[tuple[str, bool]]:
    if isinstance(node, ast.Constant):
        return [(node.value, False)]
    if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
        return [(node.values[0].value, True)]
    if isinstance(node, ast.IfExp):
        return _ids(node.body) + _ids(node.orelse)
    return []


def in_template(text: str) -> list[str]:
    """Every call of `say` in a template, each as Python."""
    found = []
    for start in (match.start() for match in re.finditer(r"\bsay\(", text)):
        depth = 0
        for end in range(start, len(text)):
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            if text[end] == ")" and not depth:
                found.append(text[start : end + 1])
                break
    return found


def sources() -> list[str]:
    """The code of the package, of its templates and of the notebooks."""
    found = [path.read_text() for path in SOURCES]
    for path in (ROOT / "src" / "retention").rglob("*.j2"):
        found += in_template(path.read_text())
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text())["cells"]
        found += ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    return found


def test_every_id_in_the_code_has_a_text_with_the_fields_given():
    wrong = []
    for source in sources():
        for key, beginning, given in calls(source):
            if beginning:
                wrong += (
                    []
                    if any(name.startswith(key) for name in texts())
                    else [f"{key}... is the start of no text"]
                )
            elif key not in texts():
                wrong.append(f"{key} has no text")
            elif given is not None and given != set(fields_of(texts()[key])):
                wrong.append(
                    f"{key} has fields {fields_of(texts()[key])}, is given {sorted(given)}"
                )
    assert wrong == []


@pytest.mark.slow
def test_every_text_is_used():
    """By its id in full, by the beginning of it, or as a string that is handed on to `say`."""
    constants, beginnings = set(), {*ASKED_BY_VALUE}
    for source in sources():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                constants.add(node.value)
        beginnings |= {key for key, beginning, _ in calls(source) if beginning}
    unused = [
        key for key in texts() if key not in constants and not key.startswith(tuple(beginnings))
    ]
    assert unused == []


def test_every_text_can_be_rendered():
    for key, text in texts().items():
        for number in (1, 2):
            made = say(key, **dict.fromkeys(fields_of(text), number))
            assert made and "{" not in made and "  " not in made, key


def test_a_text_keeps_its_id():
    made = say("claims.caveat.not_at_signing", columns="TotalCharges")
    assert isinstance(made, Said) and key_of(made) == "claims.caveat.not_at_signing:TotalCharges"
    assert key_of("Acme") == "Acme"
    with pytest.raises(KeyError, match="no text is called 'claims.nothing'"):
        say("claims.nothing")


def test_advice_is_keyed_by_what_a_verdict_can_be():
    said = {
        key.rpartition(".")[2]
        for key in texts()
        if key.startswith(("claims.caveat.", "claims.qualifier."))
    }
    for claim in CLAIMS.values():
        for key in claim.advice:
            word, _, more = key.partition(" + ")
            assert (word in VERDICTS and (not more or more in said)) or key in said, (
                f"{claim.id}: {key}"
            )
        assert set(claim.words) <= {"above", "below", "none"} | said
        assert {"holds", "not enough data"} <= set(claim.advice)


def test_a_short_form_has_the_fields_of_its_text():
    for key in texts():
        whole = key.removeprefix("short.")
        if whole == key or whole.startswith("rows."):
            continue
        assert whole in texts(), key
        assert set(fields_of(texts()[key])) <= set(fields_of(texts()[whole])), key
    said = say("churn_risk.lately.calm", counts="x")
    assert in_short(together(said, "y")) == texts()["short.churn_risk.lately.calm"]
    assert in_short("calm") == ""
