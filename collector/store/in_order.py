"""
Gateway records in the order in which they came into the store, for those who hand each one on once.

By the server's clock and not by the time of reception: a record that waited in a journal comes
behind others that were received after it. A load takes a while, so what is asked for has to end
that much before now.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from collector.store.connections import Connections
from collector.store.reads import ask, in_chunks
from collector.store.stitched import bucket_of
from collector.timestamps import NS_PER_DAY, NS_PER_S

# A record was received this long before it was stored at the very most.
_REACH_NS = 8 * NS_PER_DAY
# The versions of one record start this far apart at most.
_APART_NS = 60 * NS_PER_S


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """One version of a gateway record, which came into the store at `stored_ns`."""

    gateway: str
    record_id: str
    trace_id: str
    start_ns: int
    duration_ns: int | None
    stored_ns: int

    @property
    def key(self) -> tuple[str, str]:
        return self.gateway, self.record_id


class RecordsInOrder:
    """The reads; they raise what those of `Store` do. Thread-safe."""

    def __init__(self, connections: Connections, database: str) -> None:
        self._connections = connections
        self._database = database

    def now_ns(self) -> int:
        """Return the time by the server's clock."""
        with self._connections.reading() as client:
            return int(client.command("SELECT toUnixTimestamp64Nano(now64(9))"))  # type: ignore[arg-type]  # one number

    def find(
        self, after_ns: int, until_ns: int, gateways: Sequence[str], limit: int
    ) -> list[StoredRecord]:
        """
        Return what came into the store in (*after_ns*, *until_ns*], the earliest first.

        Of *gateways*, of all if there are none. *limit* of them, and all that came with the last.
        """
        rows = self._ask(
            "find_stored_records",
            after_ns=after_ns,
            until_ns=until_ns,
            reach_ns=_REACH_NS,
            gateways=list(gateways),
            limit=limit,
        )
        return [StoredRecord(*row) for row in rows]

    def find_earlier(self, records: Sequence[StoredRecord], moment_ns: int) -> set[tuple[str, str]]:
        """Return the keys of *records* that were in the store by *moment_ns*, with a trace id."""
        if not records:
            return set()
        moments = (r.start_ns + apart for r in records for apart in (-_APART_NS, 0, _APART_NS))
        buckets = sorted({bucket_of(moment) for moment in moments})
        return {
            (gateway, record_id)
            for chunk in in_chunks(sorted({each.record_id for each in records}))
            for gateway, record_id in self._ask(
                "find_stored_before", buckets=buckets, record_ids=chunk, moment_ns=moment_ns
            )
        }

    def _ask(self, name: str, **parameters: Any) -> list[tuple[Any, ...]]:
        with self._connections.reading() as client:
            return ask(client, name, database=self._database, **parameters)
