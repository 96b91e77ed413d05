"""From files to checked, typed tables: read as text, mapped to our names, parsed, and checked, all faults at once."""

from retention.sources.check import check
from retention.sources.read import Tables, read
from retention.sources.tenure import last_whole_month

__all__ = ["Tables", "check", "last_whole_month", "read"]
