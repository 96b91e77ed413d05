"""Many agencies: what one may hand out of a run, and what several say together.

Reads results of finished runs only, never a client's data.
"""
