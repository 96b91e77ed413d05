"""A made-up agency whose truth is known: what is planted, the lives that follow, and the books an
agency would keep.
"""

from retention.sample.field import write_field
from retention.sample.world import BURN_IN_MONTHS, PLAIN, WORLDS, World
from retention.sample.write import simulate, write_sample

__all__ = ["BURN_IN_MONTHS", "PLAIN", "WORLDS", "World", "simulate", "write_field", "write_sample"]
