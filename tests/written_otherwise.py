"""The same export as other settings of a tool, other countries and spreadsheets write it."""

import re
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pandas as pd

DAY = re.compile(r"(\d{4})-(\d\d)-(\d\d)((?:[ T].*)?)")
MONEY = re.compile(
    "amount|cost|total|rate|spen[dt]|mrr|retainer|value|price|payment", re.IGNORECASE
)


def _days(rows: pd.DataFrame, form: str) -> pd.DataFrame:
    """ISO dates in another order: `form` names y, m and d."""

    def written(cell: str) -> str:
        found = DAY.fullmatch(cell)
        if not found:
            return cell
        return form.format(y=found[1], m=found[2], d=found[3]) + found[4].replace("T", " ")

    return rows.map(written)


def _amounts(rows: pd.DataFrame, write: Callable[[float], str]) -> pd.DataFrame:
    """Amounts of money written otherwise."""
    changed = rows.copy()
    for name in rows:
        cells = rows[name]
        if MONEY.search(name) and (cells.str.fullmatch(r"\d+\.\d+") | cells.eq("")).all():
            changed[name] = cells.map(lambda cell: write(float(cell)) if cell else cell)
    return changed


def _commas(number: float) -> str:
    return f"{number:,.2f}".replace(",", " ").replace(".", ",").replace(" ", ".")


def _decimals(rows: pd.DataFrame) -> pd.DataFrame:
    """Decimal points as commas."""
    return rows.map(
        lambda cell: cell.replace(".", ",") if re.fullmatch(r"\d+\.\d+", cell) else cell
    )


def european(rows: pd.DataFrame, path: Path) -> Path:
    """Semicolons, a byte-order mark, 1.234,50, 31.12.2024, columns the other way round."""
    amounts = _amounts(rows, _commas)
    changed = _days(_decimals(amounts), "{d}.{m}.{y}")
    turned = changed[changed.columns[::-1]].assign(Notiz="x")
    turned.to_csv(path, index=False, sep=";", encoding="utf-8-sig")
    return path


def american(rows: pd.DataFrame, path: Path) -> Path:
    """UTF-16 with tabs, $1,234.50, 12/31/2024, more columns."""
    amounts = _amounts(rows, "${:,.2f}".format)
    changed = _days(amounts, "{m}/{d}/{y}")
    more = pd.DataFrame({"Notes": "n", "Tags": "t"}, index=changed.index)
    joined = pd.concat([more, changed], axis="columns")
    joined.to_csv(path, index=False, sep="\t", encoding="utf-16")
    return path


def british(rows: pd.DataFrame, path: Path) -> Path:
    """A workbook in which everything is text, the day first."""
    book = openpyxl.Workbook()
    changed = _days(rows, "{d}/{m}/{y}")
    book.active.append(list(changed.columns))
    for row in changed.itertuples(index=False):
        book.active.append([cell or None for cell in row])
    made = path.with_suffix(".xlsx")
    book.save(made)
    return made


WAYS = {"european": european, "american": american, "british": british}
