"""From files, workbooks and databases to checked, typed tables: mapped to our names, parsed, all faults at once."""

from retention.sources.check import ask_records_begin
from retention.sources.reader import Tables, fingerprints, read
from retention.sources.tenure import last_whole_month

__all__ = ["Tables", "ask_records_begin", "fingerprints", "last_whole_month", "read"]
