"""
How much machine a load takes: processors, memory, disk and nodes from measured figures.

Pure. Costs are those of `make bench` on one core (tests/bench/README.md, which a test compares).
A batch of spans costs as such and by its spans; the two parts follow from the figures at 500 and at
20 spans a batch. Held against what was measured at 5 spans a message over gRPC, the sum of both
processes is 2 % too high; the share of the ingest process is a third too low there. What loads cost
whatever is in them comes on top, for each node's segments, at every shard.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any

from collector.cli.ink import Ink
from collector.cli.tables import Column, draw_table, format_bytes, number, text

# Microseconds of processor a span, by spans a batch: ingest process, store process with the engine.
INGEST_US = {500: 3.8, 20: 10.3}
STORE_US = {500: 10.9, 20: 16.3}
# Bytes a span on the disk, all tables that lead to it included.
SPAN_BYTES = 80.5
# A gateway record: received and journaled (records a CPU-second of the slowest adapter), loaded,
# and on the disk.
RECORDS_PER_CPU_S = 33_000
RECORD_LOAD_US = 70
RECORD_BYTES = 364
# Requests whose spans are kept as long as records: the slowest in twenty of each API, one in a
# hundred of the others, and one in a hundred that fails.
KEPT_RATIO = 0.07
# What all processes hold when idle, and what one holds at most of requests under way.
IDLE_MIB = 478
INFLIGHT_MIB = 256
STATEMENT_MIB = 2048

# Processor of a load however little is in it: where its messages are read, and at each shard.
READ_S, WRITE_S = 0.054, 0.046
# A segment is closed after a second, or when it holds so many spans (48 MiB).
FLUSH_S = 1.0
SEGMENT_SPANS = 90_000
# More loads a second than that would have the servers of one cluster do little else.
CLUSTER_LOADS_PER_S = 100

# How full a core may be at the peak before waiting grows.
FULLEST = 0.6
# One process takes what comes in on a node, and one loads it: a core each, as a rule.
CORES_A_NODE = 2
# What two loads at once keep busy (HOPLINE_LOADS_AT_ONCE); so much more is done than by one.
LOADING_CORES = 1.54
SHARD_CORES = 16
SHARD_MIB = 64 * 1024
SECONDS_A_DAY = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """
    What comes in.

    `peak` is how many times the mean the busiest minutes are; `batch` how many spans senders put
    into one message.
    """

    requests_per_day: float
    spans: float = 25
    batch: float = 100
    peak: float = 3
    span_days: float = 7
    record_days: float = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """
    What a load takes. Cores are at the peak, filled to `FULLEST`; bytes are one copy, merged.

    `nodes` take what comes in and load it, on `CORES_A_NODE` cores each. With `shards` of 0 the
    store is embedded in the one node; else so many ClickHouse servers have `SHARD_CORES` cores
    each, replicas not counted, in `clusters` that know nothing of each other.
    """

    load: Load
    spans_per_s: float
    ingest_cores: float
    store_cores: float
    nodes: int
    loads_per_s: float
    clusters: int
    shards: int
    memory_bytes: int
    disk_bytes: int


def span_us(costs: dict[int, float], batch: float) -> float:
    """Return microseconds a span in batches of *batch*, by what they are at two sizes."""
    (large, at_large), (small, at_small) = sorted(costs.items(), reverse=True)
    of_batch = (at_small - at_large) / (1 / small - 1 / large)
    return at_large + of_batch * (1 / batch - 1 / large)


def plan(load: Load) -> Plan:
    """Return what *load* takes."""
    requests_per_s = load.requests_per_day * load.peak / SECONDS_A_DAY
    spans_per_s = requests_per_s * load.spans
    ingest_s = (
        spans_per_s * span_us(INGEST_US, load.batch) / 1e6 + requests_per_s / RECORDS_PER_CPU_S
    )
    work_s = (spans_per_s * span_us(STORE_US, load.batch) + requests_per_s * RECORD_LOAD_US) / 1e6
    ingest_cores = ingest_s / FULLEST
    # a stream of spans and one of records, each at least a segment a second
    one_s = (work_s + _loads_per_s(1, spans_per_s) * (READ_S + WRITE_S)) / FULLEST
    is_one = ingest_cores <= 1 and one_s <= LOADING_CORES and ingest_cores + one_s <= CORES_A_NODE
    nodes = 1 if is_one else max(ceil(ingest_cores), 2)
    loads_per_s = _loads_per_s(nodes, spans_per_s)
    clusters = 1 if is_one else ceil(loads_per_s / CLUSTER_LOADS_PER_S)
    shards, store_cores = 0, one_s
    if not is_one:
        each, cores = _find_shards(work_s / clusters, loads_per_s / clusters)
        shards, store_cores = each * clusters, cores * clusters
    mib = nodes * (IDLE_MIB + INFLIGHT_MIB) + (STATEMENT_MIB if is_one else shards * SHARD_MIB)
    disk = load.requests_per_day * (
        load.spans * SPAN_BYTES * (load.span_days + KEPT_RATIO * load.record_days)
        + RECORD_BYTES * load.record_days
    )
    return Plan(
        load=load,
        spans_per_s=spans_per_s,
        ingest_cores=ingest_cores,
        store_cores=store_cores,
        nodes=nodes,
        loads_per_s=loads_per_s,
        clusters=clusters,
        shards=shards,
        memory_bytes=mib * 2**20,
        disk_bytes=round(disk),
    )


def _loads_per_s(nodes: int, spans_per_s: float) -> float:
    of_records = nodes / FLUSH_S
    return max(of_records, spans_per_s / SEGMENT_SPANS) + of_records


def _find_shards(work_s: float, loads_per_s: float) -> tuple[int, float]:
    """Return how many shards do *work_s* a second beside what each load costs at each of them."""
    shards = 1
    while True:
        cores = (work_s + loads_per_s * (READ_S + WRITE_S * shards)) / FULLEST
        if cores <= shards * SHARD_CORES:
            return shards, cores
        shards += 1


def describe(load: Load) -> Mapping[str, Any]:
    """Return the plan of *load* as JSON has it."""
    return asdict(plan(load))


def draw_plan(document: Mapping[str, Any], ink: Ink, width: int) -> Iterator[str]:
    """Yield the plan in words, with what it rests on."""
    load = document["load"]
    yield (
        f"{load['requests_per_day']:,.0f} requests a day, {load['spans']:g} spans each: "
        f"{document['spans_per_s']:,.0f} spans/s at the peak ({load['peak']:g} times the mean)"
    )
    yield ""
    store = ("ClickHouse, " if document["shards"] else "") + describe_store(document)
    rows = [
        {"what": "processors at the peak", "value": _cores(document)},
        {"what": "ingest nodes", "value": f"{document['nodes']} × {CORES_A_NODE} cores"},
        {"what": "store", "value": store},
        {"what": "memory", "value": format_bytes(document["memory_bytes"])},
        {"what": "disk, one copy", "value": format_bytes(document["disk_bytes"])},
    ]
    columns = (text("WHAT", "what"), text("TAKES", "value", is_whole=True))
    yield from draw_table(columns, rows, ink, width)
    if "simulation" in document:
        yield ""
        yield from _draw_scenarios(document["simulation"], ink, width)
    yield ""
    yield (
        f"Spans kept {load['span_days']:g} days, records and the spans of {KEPT_RATIO:.0%} of "
        f"requests {load['record_days']:g}; cores "
        f"{FULLEST:.0%} full; {load['batch']:g} spans a message. Questions and stitching come on "
        "top: a core for each query node."
    )


def _draw_scenarios(rows: Sequence[Mapping[str, Any]], ink: Ink, width: int) -> Iterator[str]:
    columns = (
        text("SIMULATED", "scenario", is_whole=True),
        number("FOUND AFTER, P50", "p50_s", show_seconds),
        number("P99", "p99_s", show_seconds),
        number("JOURNAL OF A NODE", "deepest_bytes", format_bytes),
        number("REFUSED FOR", "refused_s", show_seconds),
        Column("CAUGHT UP AFTER", lambda row: show_caught_up(row["caught_up_s"]), is_number=True),
    )
    yield from draw_table(columns, rows, ink, width)


def show_seconds(seconds: float) -> str:
    """Return seconds in words, from 100 on in minutes."""
    return f"{seconds:,.1f} s" if seconds < 100 else f"{seconds / 60:,.0f} min"


def show_caught_up(seconds: float | None) -> str:
    """Return after how long a node has caught up, in words."""
    return "not within 1 h" if seconds is None else show_seconds(seconds)


def describe_store(document: Mapping[str, Any]) -> str:
    """Return the ClickHouse servers of a plan in words."""
    if not document["shards"]:
        return "embedded"
    servers = f"{document['shards']:,} × {SHARD_CORES} cores"
    clusters = document["clusters"]
    return f"{servers} in {clusters:,} clusters" if clusters > 1 else servers


def _cores(document: Mapping[str, Any]) -> str:
    ingest, store = document["ingest_cores"], document["store_cores"]
    return f"{ingest:.1f} to take in, {store:.1f} to store"
