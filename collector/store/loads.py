"""
Loads that come late: rows in the tables of what was received long before.

Work that goes on by the time of reception has gone past them by then.
"""

import re
from dataclasses import dataclass

from clickhouse_connect.driver.client import Client

from collector.model import Stream
from collector.store.reads import ask
from collector.store.rows import LoadableSegment
from collector.timestamps import NS_PER_S

LATE_NS = 8 * NS_PER_S
"""What is loaded within this after its segment was begun is not late."""
_EARLIEST_NS = 946_684_800 * NS_PER_S
_MOST = 20_000
_BEGUN = re.compile(r"[0-9]{20}(?=-)")


@dataclass(frozen=True, slots=True)
class LateLoad:
    """What was received from one moment to another came into the tables at `loaded_ns`."""

    loaded_ns: int
    from_ns: int
    to_ns: int


def note_late(client: Client, database: str, segment: LoadableSegment, now_ns: int) -> None:
    """Note that *segment* was loaded if it was late: its id begins with its first moment, in ns."""
    begun = _BEGUN.match(segment.id)
    from_ns = int(begun[0]) if begun else 0
    if segment.stream == Stream.METRIC or not _EARLIEST_NS < from_ns < now_ns - LATE_NS:
        return
    to_ns = max(from_ns, min(segment.path.stat().st_mtime_ns, now_ns))
    client.insert(
        f"{database}.late_load",
        [[from_ns, to_ns]],
        column_names=("from_ns", "to_ns"),
        settings={"distributed_foreground_insert": 1},
    )


def find_late(client: Client, database: str, after_ns: int) -> list[LateLoad]:
    """Return late loads after the one stamped *after_ns*, oldest first; some of them if many."""
    rows = ask(client, "find_late_loads", database=database, after_ns=after_ns, limit=_MOST)
    return [LateLoad(*row) for row in rows]
