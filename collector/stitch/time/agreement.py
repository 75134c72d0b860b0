"""
What most of several intervals have in common.

Source: Marzullo's algorithm as NTP uses it (RFC 5905, 11.2.1).
"""

from collections.abc import Sequence


def widest_agreement(intervals: Sequence[tuple[int, int]]) -> tuple[int, int, int]:
    """Return the stretch that most of the intervals hold, and how many do."""
    events = sorted([(low, 0) for low, _ in intervals] + [(high, 1) for _, high in intervals])
    depth = best = 0
    found = (0, 0)
    opened = 0
    for position, is_end in events:
        if not is_end:
            depth += 1
            opened = position
        else:
            if depth > best:
                best, found = depth, (opened, position)
            depth -= 1
    return (*found, best)
