"""
ClickHouse: tables, loading of journal segments, named reads.

In: segments (files of length-delimited messages), keys and filters. Out: rows of `model` and
`rows`. May import: `config`, `clock`, `telemetry`, `wire`, `errors`, `model`. Never: HTTP, the
journal, another room; SQL and the driver live here and nowhere else. Read first: `store.py`, then
`schema/`.
"""

from collector.store.changes import ChangeFilter, ToldChange, ValueCount, Visit
from collector.store.rows import (
    ApiStat,
    IdHit,
    LoadableSegment,
    RequestFilter,
    RequestRow,
    SourceStat,
    TraceSummary,
)
from collector.store.sampling import Edge
from collector.store.stitched import (
    Arrival,
    Arrivals,
    StitchedHop,
    StitchedKey,
    StitchedRequest,
    bucket_of,
)
from collector.store.store import Store, open_store

__all__ = [
    "ApiStat",
    "Arrival",
    "Arrivals",
    "ChangeFilter",
    "Edge",
    "IdHit",
    "LoadableSegment",
    "RequestFilter",
    "RequestRow",
    "SourceStat",
    "StitchedHop",
    "StitchedKey",
    "StitchedRequest",
    "Store",
    "ToldChange",
    "TraceSummary",
    "ValueCount",
    "Visit",
    "bucket_of",
    "open_store",
]
