"""The commands, a function each: `retention --help` lists them.

`rerun` holds the report, `scheduling` and `trial` what their names say, `many` what is of many
agencies, `commands` the others, and `terminal` what they share: options, words, exit codes.
"""

import gc
import os

# small matrices: threads that wait for each other cost six times more
os.environ.setdefault("OMP_NUM_THREADS", "1")
# while modules are imported there is no garbage, and looking for it costs a third of the time
gc.set_threshold(50_000)

from retention.cli.commands import cli  # noqa: E402  (after the two settings)
from retention.cli.many import pool, share  # noqa: E402
from retention.cli.rerun import report, tell_stale  # noqa: E402
from retention.cli.scheduling import open_report, schedule  # noqa: E402
from retention.cli.trial import trial  # noqa: E402

cli.add_command(report)
cli.add_command(open_report)
cli.add_command(schedule)
cli.add_command(trial)
cli.add_command(share)
cli.add_command(pool)
main = cli  # what pyproject.toml installs

__all__ = ["cli", "main", "tell_stale"]
