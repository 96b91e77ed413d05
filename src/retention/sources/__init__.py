"""From files, workbooks and databases to checked, typed tables: mapped to our names, parsed, all faults at once."""

from retention.sources.read import Tables, read
from retention.sources.tenure import last_whole_month

__all__ = ["Tables", "last_whole_month", "read"]
