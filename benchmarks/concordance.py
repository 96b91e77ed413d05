"""How often, of two clients, the one who left first had been given the higher risk: exact, no loop
over pairs.
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray
BLOCK = (
    144  # rows whose pairs are looked at one by one; all others are counted from a table of blocks
)


def concordance_index(stop: Array, risk: Array, ended: Array) -> float:
    """Harrell's concordance: of comparable pairs, the share in which who left first had the higher
    `risk` (ties: half).

    Arrays of shape (n,). A pair is comparable where one left and the other was still there after
    that time, or was censored in it. NaN without such a pair. The same number as lifelines' for
    scores of minus the risk. It knows no late entry. No page uses it; `scale.py` holds it to
    lifelines and scikit-survival.

    >>> concordance_index(np.array([1, 2, 3, 4]), np.array([0.9, 0.2, 0.4, 0.1]), np.array([1, 1, 0, 1]))
    0.8
    """
    n, gone = len(stop), np.asarray(ended).astype(bool)
    time, level = (_ranks(np.asarray(values, float)) for values in (stop, risk))
    # Of one time, those who left come before those who were censored, and among themselves in the
    # order of their risk: so no two of them are ever counted as out of order.
    key = time * 2 + ~gone
    order = (
        np.argsort((key * n + level) * n + np.arange(n))
        if n < 1_500_000
        else np.lexsort((level, key))
    )
    time, level, gone = time[order], level[order], gone[order]
    later = np.arange(n - 1, -1, -1)[gone].sum() - _pairs(time[gone])
    if not later:
        return float("nan")
    # Those of one risk in the order of time: then below means strictly below.
    by_level = np.argsort(level * n + np.arange(n))
    place = np.empty(n, dtype=np.int64)
    place[by_level] = np.arange(n)
    equal = _later_equal(level[by_level], gone[by_level]) - _pairs((time * (n + 1) + level)[gone])
    return float((_later_below(place, gone) + equal / 2) / later)


def _ranks(values: Array) -> Array:
    """Dense ranks from 0, equal values the same."""
    order = np.argsort(values)
    steps = np.zeros(len(values), dtype=np.int64)
    steps[1:] = np.diff(values[order]) > 0
    ranks = np.empty(len(values), dtype=np.int64)
    ranks[order] = np.cumsum(steps)
    return ranks


def _pairs(group: Array) -> int:
    """Pairs of rows in the same group."""
    ordered = np.sort(group)
    sizes = np.diff(np.flatnonzero(np.diff(ordered, prepend=-1, append=-1) != 0))
    return int((sizes * (sizes - 1) // 2).sum())


def _later_equal(level: Array, gone: Array) -> int:
    """Pairs of one level (rows in the order of level and time) of which the first left."""
    ends = np.flatnonzero(np.diff(level, append=-1) != 0)
    last = np.repeat(ends, np.diff(ends, prepend=-1))
    return int((last - np.arange(len(level)))[gone].sum())


def _later_below(place: Array, gone: Array) -> int:
    """How many pairs of rows have the first gone and the later one at a lower place; `place` is a
    permutation of n.

    Rows and places are cut into blocks. Pairs of different blocks both ways are counted from a
    table of how many rows lie in each pair of blocks; pairs that share a block one way or the other
    are looked at.
    """
    n = len(place)
    blocks = -(-n // BLOCK)
    row_block, place_block = np.arange(n) // BLOCK, place // BLOCK
    cell = row_block * blocks + place_block
    every = np.bincount(cell, minlength=blocks * blocks).reshape(blocks, blocks).astype(np.int32)
    left = np.bincount(cell[gone], minlength=blocks * blocks).reshape(blocks, blocks)
    after = np.cumsum(every[::-1], axis=0, dtype=np.int32)[::-1] - every
    below = np.cumsum(after, axis=1, dtype=np.int32) - after
    far = int(np.einsum("ij,ij->", left, below, dtype=np.int64))
    row_of = np.empty(n, dtype=np.int64)
    row_of[place] = np.arange(n)
    # Within a block of rows: a later row at a lower place. Within a block of places: a lower place
    # in a later block.
    near = _looked_at(place, gone, n, np.triu(np.ones((BLOCK, BLOCK), dtype=bool), 1))
    return (
        far
        + near
        + _looked_at(
            -row_block[row_of], gone[row_of], n, np.tril(np.ones((BLOCK, BLOCK), dtype=bool), -1)
        )
    )


def _looked_at(value: Array, gone: Array, n: int, pairs: Array) -> int:
    """Over all blocks: pairs (i, j) of the mask with i gone and value j below value i."""
    padded = np.full((-(-n // BLOCK), BLOCK), np.iinfo(np.int32).max, dtype=np.int32)
    padded.reshape(-1)[:n] = value
    first = np.zeros(padded.shape, dtype=bool)
    first.reshape(-1)[:n] = gone
    return int(
        np.count_nonzero((padded[:, None, :] < padded[:, :, None]) & first[:, :, None] & pairs)
    )
