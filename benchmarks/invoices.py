"""How much memory an export of invoices takes that is far larger than memory may be: QuickBooks,
Stripe and the like, read by a query, checked, and told in numbers.

    python benchmarks/invoices.py FOLDER --megabytes 1000
"""

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

CLIENTS = 2_000
LINE = (
    "in_{n:012d},cus_{client:06d},Client {client} of the agency LLC,{year}-{month:02d}-{day:02d} "
    '09:00,{year}-{month:02d}-28 09:00,INV-{n:08d},paid,"1,{cents:03d}.50","1,{cents:03d}.50",'
    "a retainer for the services that were agreed upon for this month\n"
)
HEAD = "id,Customer,Customer Name,Date (UTC),Due Date (UTC),Number,Status,Amount Due,Total,Memo\n"
SETTINGS = """cutoff = 2025-12-31
records_begin = "all history"
[source]
folder = "."
[source.files.bills]
file = "bills.csv"
[tables.invoices]
query = '''
SELECT id AS invoice_id, known_client("Customer") AS client_id, day("Date (UTC)") AS issued_on,
       day("Due Date (UTC)") AS due_on, number("Total") AS amount FROM bills
'''
[tables.account_months]
query = '''
SELECT known_client("Customer") AS client_id, strftime(day("Date (UTC)"), '%Y-%m') AS month,
       sum(number("Total")) AS fee FROM bills GROUP BY 1, 2
'''
"""
READ = """
import sys
from retention.data import read
from retention.settings import resolve
tables = read(resolve(sys.argv[1]), only_check=True)
print(tables.rows)
"""


def write(folder: Path, megabytes: float) -> int:
    """Write clients, settings and bills of this size; how many bills there are comes back."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "retention.toml").write_text(SETTINGS)
    with (folder / "clients.csv").open("w") as out:
        out.write("client_id,start_date,end_date,contract_term_months,monthly_ad_spend\n")
        out.writelines(f"cus_{client:06d},2020-01-01,,1,1000\n" for client in range(CLIENTS))
    with (folder / "bills.csv").open("w") as out:
        out.write(HEAD)
        size = 0
        for count, line in enumerate(_lines(), 1):
            size += out.write(line)
            if size > megabytes * 1e6:
                return count
    return 0


def _lines() -> Iterator[str]:
    n = 0
    while True:
        day = 1 + n % 27
        month = 1 + n // 27 % 12
        year = 2020 + n // 324 % 6
        client = n * 7919 % CLIENTS
        yield LINE.format(n=n, client=client, year=year, month=month, day=day, cents=n % 1000)
        n += 1


def peak_megabytes(folder: Path) -> tuple[float, float]:
    """The most memory that a process takes which checks the folder, in megabytes; and seconds."""
    before = time.perf_counter()
    subprocess.run([sys.executable, "-c", READ, str(folder)], check=True)
    seconds = time.perf_counter() - before
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024, seconds


def main() -> None:
    """Write an export, read it, and tell its size, the peak of memory and the time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--megabytes", type=float, default=1000)
    asked = parser.parse_args()
    count = write(asked.folder, asked.megabytes)
    peak, seconds = peak_megabytes(asked.folder)
    print(f"{asked.megabytes:g} MB, {count:,} bills: peak {peak:,.0f} MB, {seconds:.0f} s")


if __name__ == "__main__":
    main()
