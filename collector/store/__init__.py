"""
ClickHouse: tables, loading of journal segments, named reads.

In: segments (files of length-delimited messages), keys and filters. Out: rows of `model` and
`rows`. May import: `config`, `clock`, `telemetry`, `wire`, `errors`, `model`. Never: HTTP, the
journal, another room; SQL and the driver live here and nowhere else. Read first: `store.py`, then
`schema/`.
"""

from collector.store.changes import (
    MAX_TOLD,
    MAX_VALUES,
    ChangeFilter,
    ToldChange,
    ValueCount,
    Visit,
)
from collector.store.hours import RecordHour
from collector.store.in_order import StoredRecord
from collector.store.leases import Lease
from collector.store.loads import LateLoad
from collector.store.logged import MAX_LOGGED, LoggedStat, LostLines
from collector.store.population import (
    GROUP_FIELDS,
    MAX_EDGES,
    MAX_GROUPS,
    MAX_SERVICES,
    MOST_GROUP_FIELDS,
    EdgeStat,
    GroupStat,
    ObservedHop,
    ObservedRequest,
    SeriesStat,
    ServiceStat,
    ShareStat,
    StitchedCount,
)
from collector.store.pulled import PolledSource, PullProgress, poll_of
from collector.store.reads import BUCKET_S
from collector.store.rows import (
    OTHERS,
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
    "BUCKET_S",
    "GROUP_FIELDS",
    "MAX_EDGES",
    "MAX_GROUPS",
    "MAX_LOGGED",
    "MAX_SERVICES",
    "MAX_TOLD",
    "MAX_VALUES",
    "MOST_GROUP_FIELDS",
    "OTHERS",
    "Arrival",
    "Arrivals",
    "ChangeFilter",
    "Edge",
    "EdgeStat",
    "GroupStat",
    "IdHit",
    "LateLoad",
    "Lease",
    "LoadableSegment",
    "LoggedStat",
    "LostLines",
    "ObservedHop",
    "ObservedRequest",
    "PolledSource",
    "PullProgress",
    "RecordHour",
    "RequestFilter",
    "RequestRow",
    "SeriesStat",
    "ServiceStat",
    "ShareStat",
    "SourceStat",
    "StitchedCount",
    "StitchedHop",
    "StitchedKey",
    "StitchedRequest",
    "Store",
    "StoredRecord",
    "ToldChange",
    "TraceSummary",
    "ValueCount",
    "Visit",
    "bucket_of",
    "open_store",
    "poll_of",
]
