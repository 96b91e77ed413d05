"""Notebooks and parameters in, a published folder of HTML pages out. Knows nothing of statistics."""

from retention.report.run import Options, run_report

__all__ = ["Options", "run_report"]
