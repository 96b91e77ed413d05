"""Puts what the others measured on one page, benchmarks/README.md, with the machine; the last of
`make bench`.
"""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

HERE = Path(__file__).parent
NOTES = ("scale", "size", "report", "score", "bootstrap")


def main() -> None:
    """Each note under the headings of one page."""
    cpu = next(
        (
            line
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        "",
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    machine = (
        f"{platform.system()} {platform.machine()}, "
        f"{cpu.partition(': ')[2] or 'processor not named'}"
    )
    machine += f", {os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}"
    notes = [
        re.sub(r"(?m)^#", "##", (HERE / f"{name}.md").read_text("utf-8")).strip() for name in NOTES
    ]
    head = (
        f"# What it costs, side by side\n\nMade by `make bench` on {machine}; versions stand "
        "with each table."
    )
    (HERE / "README.md").write_text("\n\n".join([head, *notes]) + "\n", "utf-8")


if __name__ == "__main__":
    main()
