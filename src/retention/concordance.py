"""How often, of two clients, the one who left first had been given the higher risk: exact, no loop over pairs."""

from __future__ import annotations

import numpy as np
import pandas as pd

Array = np.ndarray


def concordance_index(stop: Array, risk: Array, ended: Array) -> float:
    """Harrell's concordance: of comparable pairs, the share in which who left first had the higher `risk` (ties: half).

    Arrays of shape (n,). A pair is comparable where one left and the other was still there after that time, or was
    censored in it. NaN without such a pair. The same number as lifelines' for scores of minus the risk. It knows no
    late entry: for clients seen from the start of a landmark only (METHODS 7).

    >>> concordance_index(np.array([1, 2, 3, 4]), np.array([0.9, 0.2, 0.4, 0.1]), np.array([1, 1, 0, 1]))
    0.8
    """
    times, level = np.asarray(stop, float), pd.factorize(np.asarray(risk, float), sort=True)[0]
    gone = np.asarray(ended).astype(bool)
    order = np.lexsort((~gone, times))  # of one time, those who left come before those who were censored
    times, level, gone = times[order], level[order], gone[order]
    at = pd.factorize(times)[0] if len(times) else np.zeros(0, dtype=int)
    everybody = np.zeros(len(at), dtype=int)
    lower, equal = (a[gone].sum() for a in later_below(level, everybody))
    # Of two who left in the same month nobody was first.
    tied_lower, tied_equal = (a.sum() for a in later_below(level[gone], at[gone]))
    n = len(at)
    comparable = (n - 1 - np.arange(n))[gone].sum() - _pairs(at[gone])
    if not comparable:
        return float("nan")
    return float((lower - tied_lower + (equal - tied_equal) / 2) / comparable)


def _pairs(group: Array) -> int:
    """Pairs within groups."""
    sizes = np.bincount(group) if len(group) else np.zeros(1, dtype=int)
    return int((sizes * (sizes - 1) // 2).sum())


def later_below(level: Array, group: Array) -> tuple[Array, Array]:
    """For each row, how many later rows of its group have a lower level, and how many the same; each of shape (n,).

    Levels are whole numbers from 0. Bit by bit from the highest, rows that agree in all higher bits lie together in
    their order: of those, each with the bit set lies above the later ones without it. O(n log n), no loop over rows.

    >>> later_below(np.array([2, 0, 1, 2, 0]), np.zeros(5, dtype=int))
    (array([3, 0, 1, 1, 0]), array([1, 1, 0, 0, 0]))
    """
    n = len(level)
    rows = np.argsort(group, kind="stable")
    levels, below = level[rows].astype(np.int32), np.zeros(n, dtype=np.int64)
    starts = np.flatnonzero(np.diff(group[rows], prepend=-1)).astype(np.int32)  # where each block begins
    places = np.arange(n, dtype=np.int32)
    for bit in range(int(level.max(initial=0)).bit_length() - 1, -1, -1):
        low = (levels >> bit & 1) == 0
        zeros = np.append(np.int32(0), np.cumsum(low, dtype=np.int32))  # before each place, from the left end
        sizes = np.diff(np.append(starts, n))
        first, last = zeros[starts], zeros[np.append(starts[1:], n)]
        over = np.flatnonzero(~low)
        below[rows[over]] += np.repeat(last, sizes)[over] - zeros[over]
        # Zeros of each block come first, each half in its order.
        begin = np.repeat(starts - first, sizes)
        moved = np.where(low, begin + zeros[:-1], np.repeat(last, sizes) + places - zeros[:-1])
        into = np.empty(n, dtype=np.int32)
        into[moved] = places
        rows, levels = rows[into], levels[into]
        starts = np.unique(np.concatenate([starts, starts + (last - first)]))
        starts = starts[starts < n]
    sizes = np.diff(np.append(starts, n))
    same = np.zeros(n, dtype=np.int64)
    same[rows] = np.repeat(starts + sizes, sizes) - 1 - places
    return below, same
