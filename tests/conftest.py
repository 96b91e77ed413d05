"""What tests share: a small hand-made agency, the sample, and skips that may not hide a hole on the check machine."""

import os
import sys
from pathlib import Path

import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parent))
ROOT = Path(__file__).parents[1]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Where RETENTION_NO_SKIPS is set, a test skipped for want of a program is a failure."""
    result = yield
    report = result.get_result()
    if report.skipped and os.environ.get("RETENTION_NO_SKIPS") and "install" in str(report.longrepr):
        report.outcome = "failed"


def clients_of(rows: list[tuple], columns: tuple[str, ...] = ()) -> pd.DataFrame:
    """A clients table from (id, start, end, term, *more) tuples; dates as text, end None while a client stays."""
    names = ["client_id", "start_date", "end_date", "contract_term_months", *columns]
    frame = pd.DataFrame(rows, columns=names)
    dates = [name for name in names if name.endswith("_date")]
    frame[dates] = frame[dates].apply(pd.to_datetime)
    return frame.assign(monthly_ad_spend=1000.0)


@pytest.fixture(scope="session")
def sample_study():
    from retention import open_study

    return open_study(str(ROOT / "data" / "sample"))
