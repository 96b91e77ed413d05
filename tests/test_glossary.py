"""Terms on the pages: each says what it means once, and nothing else on a page changes."""

from retention.report.glossary import mark, with_terms
from retention.words import terms


def test_the_first_of_a_term_in_running_text_is_a_link_with_its_meaning():
    page = "<h2>Churn</h2><p>The churn rate and churn of cohorts; a cohort.</p><p>Churn again.</p>"
    made = with_terms(page)
    assert made.startswith("<h2>Churn</h2>")
    assert made.count('href="glossary.html#churn-rate"') == 1
    assert made.count('href="glossary.html#churn"') == 1
    assert made.count('href="glossary.html#cohort"') == 1
    assert ">cohorts</a>; a cohort." in made and "<p>Churn again.</p>" in made


def test_links_code_names_of_columns_and_attributes_stay():
    page = (
        '<p><a href="x">churn</a> <code>churn</code></p><img alt="churn">'
        "<table><tr><th>Churn</th></tr></table><script>churn</script>"
    )
    assert with_terms(page) == page


def test_names_in_the_data_stay_as_they_are():
    row = "<table><tr><td>Renewal &amp; Margin Co. &lt;b&gt;</td></tr></table>"
    assert with_terms(row) == row


def test_every_term_has_a_place_of_its_own_and_a_meaning():
    marks = [mark(term) for term in terms()]
    assert len(set(marks)) == len(marks) > 30
    assert all(meaning.endswith(".") for meaning in terms().values())
