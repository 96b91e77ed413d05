"""Numbers, tables and charts for eyes."""
