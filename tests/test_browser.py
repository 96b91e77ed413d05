"""Every page in Debian's Chromium: on a laptop, a phone and paper, light and dark, by keyboard,
from the disk alone.
"""

import contextlib
import math
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pandas as pd
import pytest

from conftest import HOSTILE, ROOT
from retention.results import Estimate, Listing
from retention.show.templating import SCRIPT

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.skipif(not CHROMIUM, reason="needs a browser: apt-get install chromium"),
    pytest.mark.slow,
]
OPENED = [(1280, "light"), (390, "dark")]  # screens on which all folds are looked into as well
SMALLEST = 11  # CSS pixels of the letters of a chart
LARGEST = 1_500_000  # bytes of a page
PAPER = 718  # CSS pixels between the margins of an A4 sheet
# What is read off a page in one go: links, pictures, and marks that links may point at.
READ = """() => ({
  links: [...document.links].map(a => a.href).filter(link => !link.startsWith('data:text/csv')),
  charts: [...document.querySelectorAll('figure')].map(figure => {
    const seen = [...figure.querySelectorAll('svg[role=img]')].filter(svg => getComputedStyle(svg).display !== 'none');
    const scale = seen[0].getScreenCTM().a, letters = [...seen[0].querySelectorAll('text')];
    return {alt: seen[0].getAttribute('aria-label'), seen: seen.length,
      smallest: Math.min(...letters.map(text => scale * parseFloat(getComputedStyle(text).fontSize))), scale: seen[0].getBoundingClientRect().width / seen[0].viewBox.baseVal.width,
      caption: figure.querySelector('figcaption').textContent};
  }),
  marks: [...document.querySelectorAll('[id]')].map(e => e.id),
  wide: document.scrollingElement.scrollWidth, headings: document.querySelectorAll('h1').length,
})"""


@pytest.fixture(scope="module")
def run(shared_report) -> Path:
    return (shared_report / "out" / "latest").resolve()


@contextlib.contextmanager
def opened(browser, **how):
    """A page that is told of nothing but what it asks for and complains of, in the list it comes
    with.
    """
    context = browser.new_context(**how)
    page, wrong = context.new_page(), []
    page.on("request", lambda request: wrong.append(request.url) if outside(request.url) else None)
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: wrong.append("a dialog opened"))
    try:
        yield page, wrong
    finally:
        context.close()


def pages_of(run: Path) -> list[Path]:
    """What a reader of the report opens: all but the digest, which is a mail."""
    return [path for path in sorted(run.glob("*.html")) if path.name != "digest.html"]


def outside(url: str) -> bool:
    return not url.startswith(("file:", "data:", "blob:"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_every_page_on_every_screen(browser, run, width, scheme):
    from axe_playwright_python.sync_playwright import Axe

    read = {}
    with opened(browser, viewport={"width": width, "height": 900}, color_scheme=scheme) as (
        page,
        wrong,
    ):
        for path in sorted(run.glob("*.html")):
            page.goto(path.as_uri())
            assert page.title() not in ("", "owned")
            found = read[path] = page.evaluate(READ)
            assert found["wide"] <= width, f"{path.name} scrolls sideways at {width}"
            assert found["headings"] == 1
            for chart in found["charts"]:
                words = chart["alt"]
                assert chart["seen"] == 1 and chart["scale"] > 1, path.name  # pixels a point
                assert chart["smallest"] >= SMALLEST, f"{path.name}: {words}"
                assert len(words) > 40 and re.search(r"\d", words) and words != chart["caption"], (
                    f"{path.name}: {words}"
                )
            axe = Axe().run(page)
            assert axe.violations_count == 0, f"{path.name}\n{axe.generate_report()}"
            if (width, scheme) not in OPENED:
                continue
            page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
            axe = Axe().run(page)
            assert axe.violations_count == 0, f"{path.name}, opened\n{axe.generate_report()}"
            scrolled = page.evaluate("document.scrollingElement.scrollWidth")
            assert scrolled <= width, f"{path.name} scrolls sideways when opened"
        assert wrong == []
    assert sum(len(found["charts"]) for found in read.values()) >= 10
    broken = [
        (path.name, link)
        for path, found in read.items()
        for link in found["links"]
        if not leads(link, read)
    ]
    assert broken == []


def leads(link: str, read: dict[Path, dict]) -> bool:
    """Whether a link leads to a file of the run, and to a mark that is there."""
    address, _, mark = link.partition("#")
    path = Path(urllib.request.url2pathname(address.removeprefix("file://")))
    return not outside(address) and path.is_file() and (not mark or mark in read[path]["marks"])


def test_the_checks_find_what_is_planted(browser, tmp_path):
    from axe_playwright_python.sync_playwright import Axe

    (tmp_path / "bad.html").write_text(
        "<img src='https://example.invalid/x.png'><p style='width:2000px'>x<a href=y>z</a>"
    )
    with opened(browser, viewport={"width": 390, "height": 900}) as (page, wrong):
        page.goto((tmp_path / "bad.html").as_uri())
        assert "https://example.invalid/x.png" in wrong
        assert page.evaluate("document.scrollingElement.scrollWidth") > 390
        assert Axe().run(page).violations_count > 0
        link = page.evaluate("document.links[0].href")
        assert not leads(link, {})


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_on_paper(browser, run, scheme):
    with opened(browser, viewport={"width": PAPER, "height": 1000}, color_scheme=scheme) as (
        page,
        wrong,
    ):
        page.emulate_media(media="print", color_scheme=scheme)
        for path in sorted(run.glob("*.html")):
            page.goto(path.as_uri())
            assert page.evaluate("document.scrollingElement.scrollWidth") <= PAPER, (
                f"{path.name} is cut off on paper"
            )
            assert (
                page.evaluate("getComputedStyle(document.body).backgroundColor")
                == "rgb(255, 255, 255)"
            )
            assert not page.locator("nav, .search").filter(visible=True).count()
            pdf = page.pdf(format="A4")
            assert pdf.startswith(b"%PDF") and len(re.findall(rb"/Type /Page\b", pdf)) >= 1
        assert wrong == []


def test_pages_are_small(run):
    assert {
        path.name: path.stat().st_size
        for path in run.glob("*.html")
        if path.stat().st_size > LARGEST
    } == {}


def test_a_hostile_name_is_text(browser, run):
    with opened(browser, viewport={"width": 1280, "height": 900}) as (page, wrong):
        for name in ("index", "04_churn_risk", "06_economics"):
            page.goto((run / f"{name}.html").as_uri())
            assert HOSTILE in page.locator("main").text_content() and page.title() != "owned"
        assert wrong == []


def test_from_the_first_page_to_a_section_and_back_by_keyboard(browser, run):
    with opened(browser, viewport={"width": 1280, "height": 900}) as (page, wrong):
        page.goto((run / "index.html").as_uri())
        page.locator(".card a").first.click()
        page.wait_for_url("**/01_contract_term.html")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        fold = page.locator("details:has(#when-they-leave)")
        fold.locator("summary").press("Enter")
        assert fold.get_attribute("open") is not None and fold.locator("table").first.is_visible()
        page.get_by_role("link", name="Do bigger clients stay longer?").click()
        page.get_by_role("link", name="Overview").click()
        assert page.url.endswith("/index.html") and wrong == []


def test_a_link_to_a_section_opens_its_fold(browser, run):
    with opened(browser) as (page, wrong):
        page.goto((run / "01_contract_term.html").as_uri() + "#limits")
        assert page.locator("details:has(#limits)").get_attribute("open") is not None
        assert page.locator("details[open]").count() == 1 and wrong == []


def column(table, place: int) -> list[str]:
    return table.locator(f"tbody tr:not([hidden]) td:nth-child({place})").all_inner_texts()


def test_tables_are_sorted_and_searched_by_keyboard_and_say_so(browser, run):
    with opened(browser, viewport={"width": 390, "height": 900}) as (page, wrong):
        page.goto((run / "00_data.html").as_uri() + "#what-is-missing")
        box = page.get_by_role("region", name="Blank values by column")
        table, said = (
            box.locator("table"),
            page.locator(".scroll[aria-label='Blank values by column'] + .said"),
        )
        before = column(table, 1)
        table.get_by_role("button", name="Share").focus()
        page.keyboard.press("Enter")
        shares = [float(text.rstrip("%")) for text in column(table, len(table.locator("th").all()))]
        assert shares == sorted(shares) and len(set(shares)) > 2
        assert table.locator("th").last.get_attribute("aria-sort") == "ascending"
        assert (
            said.get_attribute("role") == "status"
            and said.text_content() == "Sorted by Share, lowest first"
        )
        page.keyboard.press("Enter")
        assert table.locator("th").last.get_attribute("aria-sort") == "descending"
        table.get_by_role("button", name="Column").press("Enter")
        assert (
            column(table, 1) == sorted(before, key=str.lower)
            and table.locator("th[aria-sort]").count() == 1
        )
        page.locator(".search:has(+ .scroll[aria-label='Blank values by column']) input").fill(
            "CLIENTS. name"
        )
        assert column(table, 1) == [
            name for name in sorted(before) if "clients." in name and "name" in name
        ]
        assert re.fullmatch(rf"\d+ of {len(before)} rows", said.text_content()) and wrong == []


def estimated(*values: float) -> str:
    return Estimate.of("A1", "share", "all", values, "share").words


@pytest.mark.parametrize(
    ("cells", "lowest_first"),
    [
        (
            [*pd.to_datetime(["2026-03-31", "2026-01-01", None, "2025-02-15"])],
            ["15 Feb 2025", "01 Jan 2026", "31 Mar 2026", "–"],
        ),
        ([12000.0, 900.0, -5.0, math.nan], ["-5", "900", "12,000", "–"]),
        (
            [estimated(math.inf), estimated(0.1, 0.02, 0.3), estimated(0.09, 0.01, 0.2)],
            ["9.0% (1.0% to 20.0%)", "10.0% (2.0% to 30.0%)", "not reached"],
        ),
        (["2022Q1", "2021Q4", "2021Q1"], ["2021Q1", "2021Q4", "2022Q1"]),
        (["12 months", "6 months", "month-to-month"], ["6 months", "12 months", "month-to-month"]),
        (["s10", "s2", "", "Ada"], ["Ada", "s2", "s10", ""]),
    ],
)
def test_what_is_lowest(browser, cells, lowest_first):
    table = Listing(pd.DataFrame({"x": cells, "y": cells}), "Anything").html()
    with opened(browser) as (page, wrong):
        page.set_content(f"{table}<script>{SCRIPT}</script>")
        page.get_by_role("button", name="X").click()
        shown = [text.replace("\u00a0", " ") for text in column(page.locator("table"), 1)]
        assert shown == lowest_first and wrong == []


# Every sortable column of a page, clicked twice: what cells carry, as the column shows them then.
SORTED = """() => [...document.querySelectorAll('th[data-sort] button')].map(button => {
  const head = button.parentElement, table = head.closest('table');
  const cells = () => [...table.tBodies[0].rows].map(row => row.cells[head.cellIndex].dataset.sort);
  const click = () => { button.click(); return cells(); };
  const known = cells().filter(key => key), order = new Intl.Collator("en", {numeric: true});
  return {name: head.textContent, kind: head.dataset.sort, up: click(), down: click(),
    texts: known.sort(order.compare)};
})"""


def test_every_column_sorts_by_its_values(browser, run):
    kinds = []
    with opened(browser) as (page, wrong):
        for path in sorted(run.glob("*.html")):
            page.goto(path.as_uri())
            for column in page.evaluate(SORTED):
                where = f"{path.name}, {column['name']}"
                kinds.append(column["kind"])
                assert in_order(column["up"], column) == column["up"], where
                down = in_order(column["down"], column)[::-1]
                blanks = down.count("")
                assert down[blanks:] + [""] * blanks == column["down"], where
        assert wrong == []
    assert kinds.count("number") > 100 and kinds.count("text") > 20


def in_order(keys: list[str], column: dict) -> list[str]:
    """The values of a column from the lowest on, blanks last; numbers and days by what they are."""
    known = [key for key in keys if key]
    if column["kind"] == "number":
        known = sorted(known, key=float)
    elif all(re.fullmatch(r"\d{4}-\d\d-\d\d", key) for key in known):
        known = sorted(known, key=pd.Timestamp)
    else:
        known = column["texts"]
    return known + [""] * (len(keys) - len(known))


POWERS_AND_ZEROS = re.compile(r".{20}\d\.\d+e[+-]\d\d.*|.{20}[ (]-0(?:\.0+)?%?[ ,)].*")


def odd_numbers(page: str) -> list[str]:
    """Powers of ten and zeros below zero in the text of a page."""
    text = re.sub(r"<(style|script)>.*?</\1>|<[^>]*>", " ", page, flags=re.DOTALL)
    return POWERS_AND_ZEROS.findall(text)


def test_no_number_is_a_power_of_ten_and_no_zero_is_below_zero(run):
    assert odd_numbers("<td>a cell before it all 1.452e+04</td> and so on, it is -0.00, you see")
    assert {path.name: odd_numbers(path.read_text()) for path in run.glob("*.html")} == {
        path.name: [] for path in run.glob("*.html")
    }


def test_without_script_tables_are_whole(browser, run):
    with opened(browser, java_script_enabled=False) as (page, wrong):
        page.goto((run / "00_data.html").as_uri())
        assert (
            page.locator("tbody tr").count() > 30
            and page.locator("th button, .search").count() == 0
        )
        assert page.locator("details.fold summary").first.is_visible() and wrong == []


@pytest.fixture
def lab(tmp_path):
    """JupyterLab on a free port with a copy of the notebooks, and nothing of this machine's
    settings.
    """
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    (tmp_path / "data").symlink_to(ROOT / "data")
    (tmp_path / "src").symlink_to(ROOT / "src")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {
        name: str(tmp_path / name.lower())
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    }
    own |= {
        name: str(tmp_path / name.lower())
        for name in ("JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR")
    }
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        "--no-browser",
        "--allow-root",
        "--IdentityProvider.token=t",
    ]
    command += [
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        "--notebook-dir=notebooks",
    ]
    command += [
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]
    with (tmp_path / "lab.log").open("w") as log:
        server = subprocess.Popen(
            command, cwd=tmp_path, env=os.environ | own, stdout=log, stderr=log
        )
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(f"{address}/api?token=t", timeout=5),
            ):
                break
            assert server.poll() is None, (tmp_path / "lab.log").read_text()
            time.sleep(0.3)
        yield address
    finally:
        server.send_signal(signal.SIGTERM)  # which also ends its kernels
        server.wait(30)


def test_in_jupyterlab_run_all_brings_the_verdict(browser, lab):
    from playwright.sync_api import TimeoutError as TooLate

    with opened(browser, viewport={"width": 1280, "height": 900}) as (page, wrong):
        page.goto(f"{lab}/lab/tree/01_contract_term.ipynb?token=t")
        page.get_by_role("heading", name="Do month-to-month clients leave sooner?").wait_for(
            timeout=180_000
        )
        page.get_by_text(re.compile(r"\| Idle")).first.wait_for(
            timeout=180_000
        )  # what is run before that is lost
        verdict = page.locator(".jp-OutputArea .verdict .words")
        for _ in range(3):  # on a busy machine JupyterLab loses what is run while it still connects
            page.get_by_role("menubar").get_by_text("Run", exact=True).click()
            page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
            with contextlib.suppress(TooLate):
                verdict.wait_for(timeout=100_000)
                break
        assert re.search("Holds|Does not hold|Not enough", verdict.text_content())
        assert [url for url in wrong if url.startswith("http") and not url.startswith(lab)] == []


SEEN = """() => {
  const shown = [...document.querySelectorAll("h1,h2,h3,p,figcaption")].filter(part =>
    part.checkVisibility() && part.getBoundingClientRect().top < innerHeight
    && !part.closest("nav,table,svg,.tiles,.src") && !part.parentElement.closest("figcaption"));
  const top = part => part ? part.getBoundingClientRect().top : Infinity;
  const figures = [...document.querySelectorAll("figure")].filter(part => part.checkVisibility());
  return {
    prose: shown.map(part => part.innerText).join(" ").split(/\\s+/).filter(Boolean).length,
    words: document.body.innerText.split(/\\s+/).filter(Boolean).length,
    height: document.documentElement.scrollHeight,
    figures: document.querySelectorAll("figure").length,
    early: figures.filter(part => top(part) < innerHeight).length,
    does: top(document.querySelector("header .do")) < innerHeight,
  };
}"""
MOST_PROSE, MOST_WORDS, MOST_SCREENS, LEAST_PICTURES = 90, 12_000, 60, 30
MOST_SHEETS = 40


def test_pages_are_looked_at_first_and_read_second(browser, run):
    """The first screen of the index is mostly pictures and figures; that of every page has its
    answer, what to do and a picture.
    """
    with opened(browser, viewport={"width": 1280, "height": 800}) as (page, wrong):
        seen = {}
        for path in pages_of(run):
            page.goto(path.as_uri())
            seen[path.stem] = page.evaluate(SEEN)
        index = seen["index"]
        assert index["prose"] <= MOST_PROSE and index["early"] >= 2, index
        pages = {name: found for name, found in seen.items() if name[:2].isdigit()}
        assert {name for name, found in pages.items() if not found["does"]} == set()
        assert {name for name, found in pages.items() if not found["early"]} == set()
        assert sum(found["words"] for found in seen.values()) < MOST_WORDS
        assert sum(found["height"] for found in seen.values()) < MOST_SCREENS * 800
        assert sum(found["figures"] for found in seen.values()) >= LEAST_PICTURES
        assert wrong == []


def test_the_index_is_one_sheet_of_paper_and_the_report_few(browser, run):
    sheets = {}
    with opened(browser) as (page, wrong):
        for path in pages_of(run):
            page.goto(path.as_uri())
            pdf = page.pdf(format="A4", prefer_css_page_size=True)
            sheets[path.stem] = len(re.findall(rb"/Type /Page\b", pdf))
        assert wrong == []
    assert sheets["index"] == 1 and sum(sheets.values()) < MOST_SHEETS, sheets
