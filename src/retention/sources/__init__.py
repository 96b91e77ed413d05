"""From files to checked, typed tables: read as text, mapped to our names, parsed, and checked, all faults at once."""

from retention.sources.check import check
from retention.sources.read import Tables, read

__all__ = ["Tables", "check", "read"]
