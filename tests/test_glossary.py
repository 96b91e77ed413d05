"""Terms on the pages: each says what it means once, and nothing else on a page changes."""

import re
from html import unescape

import pytest
from markupsafe import escape

from retention.report.glossary import mark, with_terms
from retention.words import terms

FIELD = [
    *("log loss", "Brier", "AUC", "average precision", "calibration intercept"),
    *("calibration slope", "observed over predicted", "net benefit", "PSI", "log-odds", "odds"),
    *("over expected", "shrunk", "client-month", "opportunity to leave", "follow-up", "censored"),
    *("horizon", "median", "SD", "standard error", "variance", "correlation", "weighting"),
    *("pooled", "resampled", "log-likelihood", "Bayes factor", "primary", "secondary"),
    *("exploratory", "descriptive", "naive", "NPS", "promoter", "passive", "detractor"),
    *("red flag", "tier", "discounted", "quota", "lift", "calibration", "drift", "cohort"),
    *("plateau", "payback", "standard deviation", "confidence interval", "fragile"),
    *("hazard ratio", "p value", "e-value", "bootstrap", "quartile", "percentile", "regression"),
    *("over-dispersion", "logit", "posterior", "prior", "collinear", "heteroscedastic"),
    *("net revenue retention", "gross revenue retention", "acquisition cost", "nurture"),
]


def test_the_first_of_a_term_in_running_text_is_a_link_with_its_meaning():
    page = "<h2>Churn</h2><p>The churn rate and churn of cohorts; a cohort.</p><p>Churn again.</p>"
    made = with_terms(page)
    assert made.startswith("<h2>Churn</h2>")
    assert made.count('href="glossary.html#churn-rate"') == 1
    assert made.count('href="glossary.html#churn"') == 1
    assert made.count('href="glossary.html#cohort"') == 1
    assert ">cohorts</a>; a cohort." in made and "<p>Churn again.</p>" in made


def test_a_term_that_ends_in_s_has_no_other_form():
    made = with_terms("<p>The lists hold clients at odd times; it holds, against the odds.</p>")
    assert made.count("<a ") == 2 and ">holds</a>" in made and ">odds</a>" in made


def test_links_code_names_of_columns_and_attributes_stay():
    page = (
        '<p><a href="x">churn</a> <code>churn</code></p><img alt="churn">'
        "<table><tr><th>Due</th></tr></table><script>churn</script>"
    )
    assert with_terms(page) == page


def test_names_in_the_data_stay_as_they_are():
    row = "<table><tr><td>Renewal &amp; Margin Co. &lt;b&gt;</td></tr></table>"
    assert with_terms(row) == row


def test_every_term_has_a_place_of_its_own_and_a_meaning():
    marks = [mark(term) for term in terms()]
    assert len(set(marks)) == len(marks) > 30
    assert all(meaning.endswith(".") for meaning in terms().values())


def test_headings_and_names_of_estimates_say_what_their_terms_mean_on_hover():
    row = "<tr><td>log loss</td><td>AUC</td></tr>"
    page = (
        '<div data-of="{}"><table><tr><th scope="col">Shift (PSI)</th></tr>'
        + row
        + "</table></div>"
    )
    made = with_terms(page.format("quantity"))
    psi, loss = escape(terms()["PSI"]), escape(terms()["log loss"])
    assert f'<th scope="col" title="{psi}">Shift (PSI)</th>' in made
    assert f'<td title="{loss}">log loss</td><td>AUC</td>' in made
    assert row in with_terms(page.format("client"))


@pytest.mark.slow
def test_every_term_of_the_field_on_a_page_is_in_the_glossary(shared_report):
    """Words that an account lead cannot be asked to know, wherever they stand on a page of the
    sample.
    """
    run = (shared_report / "out" / "latest").resolve()
    known = {term.lower() for term in terms()}
    field = re.compile(rf"(?i)\b(?:{'|'.join(FIELD)})s?\b")
    lacking = set()
    for path in run.glob("*.html"):
        bare = re.sub(r"(?s)<(script|style|svg)\b.*?</\1>", " ", path.read_text("utf-8"))
        text = unescape(re.sub(r"<[^>]+>", " ", bare))
        lacking |= {found.lower() for found in field.findall(text)}
    assert lacking > {"log loss", "psi"}
    assert {word for word in lacking if {word, word.removesuffix("s")} & known == set()} == set()
