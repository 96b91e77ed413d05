"""Results in a notebook: text to the left, verdicts in colour and bold, charts in the colours of the
theme, light or dark. JupyterLab's own style sheets are those that nbconvert brings along.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from jupyter_core.paths import jupyter_path

from retention import theme
from retention.parameters import SEAL
from retention.results import Listing

LAB = "nbconvert/templates/lab/static"
THEMES = ["light", "dark"]
ROWS = pd.DataFrame({"name": ["Harbour", "Lark"], "clients": [12, 3]})


def lab_style(name):
    """A style sheet of JupyterLab."""
    found = [Path(folder).parent / "jupyter" / LAB / name for folder in jupyter_path()]
    return next(path for path in found if path.exists()).read_text("utf-8")


@pytest.fixture(scope="module")
def shown(sample_study):
    """What a notebook shows of a verdict, a verb, a table and a chart."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(theme, "_in_notebook", lambda: True)
        survived = sample_study_survival(sample_study)
        parts = [
            sample_study.judge("A1")._repr_mimebundle_()["text/html"],
            survived._repr_html_(),
            Listing(ROWS, "Who").html(),
            survived.picture()._repr_mimebundle_()["text/html"],
        ]
    return "".join(parts)


def sample_study_survival(study):
    import retention

    return retention.survival(study, by="contract_term_months")


def lab_page(shown, kind):
    """A cell's output as JupyterLab shows it in one of its themes."""
    styles = "".join(
        f"<style>{lab_style(name)}</style>" for name in (f"theme-{kind}.css", "index.css")
    )
    light = str(kind == "light").lower()
    output = f'<div class="jp-RenderedHTMLCommon jp-RenderedHTML">{shown}</div>'
    body = f'<body data-jp-theme-light="{light}" style="background:var(--jp-layout-color0)">'
    return f"<!doctype html><html><head>{styles}</head>{body}{output}</body></html>"


@pytest.fixture(params=THEMES)
def tab(request, shown, browser):
    page = browser.new_page(viewport={"width": 900, "height": 1200})
    page.set_content(lab_page(shown, request.param))
    page.kind = request.param
    yield page
    page.close()


def computed(tab, selector, name):
    """The values of a property of all elements that a selector finds."""
    script = "(all, name) => all.map(one => getComputedStyle(one)[name])"
    values = tab.eval_on_selector_all(selector, script, name)
    assert values, selector
    return {*values}


def rgb(colour):
    digits = colour.removeprefix("#")
    digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
    return "rgb({}, {}, {})".format(*(int(digits[at : at + 2], 16) for at in (0, 2, 4)))


@pytest.mark.slow
def test_text_stands_to_the_left_and_numbers_to_the_right(tab):
    assert computed(tab, "td:not(.num), th:not(.num), caption", "textAlign") == {"left"}
    assert computed(tab, "td.num, th.num", "textAlign") == {"right"}


@pytest.mark.slow
def test_a_verdict_keeps_its_colour_and_weight(tab):
    colours = getattr(theme.themes(), tab.kind)
    assert computed(tab, ".verdict .words", "color") == {rgb(colours["part"])}
    assert computed(tab, ".verdict .words", "fontWeight") == {"650"}


@pytest.mark.slow
def test_a_chart_follows_the_theme(tab):
    colours = getattr(theme.themes(), tab.kind)
    lines = computed(tab, "svg.wide path", "stroke")
    assert {rgb(colours[name]) for name in ("c1", "c2", "c3")} <= lines
    other = theme.themes().dark if tab.kind == "light" else theme.themes().light
    assert not {rgb(other[name]) for name in ("c1", "c2", "c3")} & lines
    assert rgb(colours["ink"]) in computed(tab, "svg.wide text", "fill")


@pytest.mark.slow
def test_a_narrow_notebook_shows_the_chart_for_phones(tab):
    assert computed(tab, "svg.wide", "display") == {"block"}
    tab.set_viewport_size({"width": 390, "height": 800})
    assert computed(tab, "svg.wide", "display") == {"none"}
    assert computed(tab, "svg.phone", "display") == {"block"}


@pytest.mark.slow
def test_nothing_else_of_a_notebook_changes(shown, browser):
    """A frame of pandas looks the same beside a result and alone."""
    frame = ROWS.to_html()
    looks = []
    for more in ("", shown):
        page = browser.new_page()
        page.set_content(lab_page(frame + more, "dark"))
        names = ["textAlign", "color", "borderBottomWidth", "paddingLeft"]
        looks.append([computed(page, "table.dataframe td", name) for name in names])
        page.close()
    assert looks[0] == looks[1]


def test_only_a_notebook_of_somebody_is_given_the_style(tmp_path):
    """A kernel shows it; a plain process and a run of the report do not."""
    code = (
        "import pandas as pd\nfrom retention.results import Listing\n"
        "Listing(pd.DataFrame({'name': ['a']}), 'Who')"
    )
    assert "<style>" not in Listing(ROWS, "Who").html()
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    path = tmp_path / "a.ipynb"
    for seal, expected in (("", 1), ("x", 0)):
        nbformat.write(notebook, path)
        command = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "--inplace"]
        sealed = {SEAL: seal} if seal else {}
        run_with(command + [str(path)], sealed)
        (output,) = nbformat.read(path, as_version=4).cells[0].outputs
        assert output.data["text/html"].count("<style>") == expected


def run_with(command, more):
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | more, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_colour_that_the_style_names_is_given():
    named = {*re.findall(r"var\(--([\w-]+)\)", theme.shapes())}
    assert named and named <= theme.themes().light.keys() and named <= theme.themes().dark.keys()
