"""From files, workbooks and databases to checked, typed tables: mapped to our names, parsed, all
faults at once.
"""

from retention.data.check import ask_records_begin
from retention.data.reader import Tables, fingerprints, read
from retention.data.rules import in_words, warnings_of
from retention.data.tenure import last_whole_month

__all__ = [
    "Tables",
    "ask_records_begin",
    "fingerprints",
    "in_words",
    "last_whole_month",
    "read",
    "warnings_of",
]
