"""The tables of deploy/README.md: what so many requests a day need, and how they queue."""

from collections.abc import Iterator
from dataclasses import asdict

from collector.cli.capacity import (
    Load,
    describe_store,
    plan,
    show_caught_up,
    show_seconds,
)
from collector.cli.queueing import scenarios
from collector.cli.tables import format_bytes

# Tables that a load of spans and one of records write to, each a part on each shard: 4 on average.
_PARTS_A_LOAD = 4
# A part is written to Keeper by the replica that takes it in, and by the one that fetches it.
_KEEPER_WRITES_A_PART = 2
# What keeps the ingest core of a node at its fullest, at 25 spans a request in messages of 100.
_REQUESTS_A_NODE = 113e6


def capacity_table() -> Iterator[str]:
    """Yield the table of deploy/README.md: a million to ten thousand million requests a day."""
    yield (
        "| requests a day | spans/s at the peak | ingest cores | store cores | ingest nodes | "
        "ClickHouse | memory | disk, one copy |"
    )
    yield "|--:|--:|--:|--:|--:|---|--:|--:|"
    for requests in (1e6, 1e7, 1e8, 3e8, 1e9, 3e9, 1e10):
        each = plan(Load(requests_per_day=requests))
        store = describe_store(asdict(each))
        yield (
            f"| {requests / 1e6:,.0f} M | {each.spans_per_s:,.0f} | {each.ingest_cores:,.1f} | "
            f"{each.store_cores:,.1f} | {each.nodes:,} | {store} | "
            f"{format_bytes(each.memory_bytes)} | {format_bytes(each.disk_bytes)} |"
        )


def queueing_table() -> Iterator[str]:
    """Yield the table of deploy/README.md: 10, 100 and 1,000 ingest nodes."""
    yield (
        "| ingest nodes | ClickHouse | | found after, p50 | p99 | journal of a node | refused for "
        "| caught up after | parts/s a table and server | Keeper writes/s a cluster |"
    )
    yield "|--:|---|---|--:|--:|--:|--:|--:|--:|--:|"
    for nodes in (0.7, 10, 100, 1_000):
        each = plan(Load(requests_per_day=nodes * _REQUESTS_A_NODE))
        loads = each.loads_per_s / each.clusters
        shards = max(each.shards // each.clusters, 1)
        keeper = loads * shards * _PARTS_A_LOAD * _KEEPER_WRITES_A_PART
        for place, (name, found) in enumerate(scenarios(each)):
            where = describe_store(asdict(each))
            yield (
                f"| {each.nodes if not place else ''} | {where if not place else ''} | {name} | "
                f"{show_seconds(found.p50_s)} | {show_seconds(found.p99_s)} | "
                f"{format_bytes(found.deepest_bytes)} | {show_seconds(found.refused_s)} | "
                f"{show_caught_up(found.caught_up_s) if 'away' in name else ''} | "
                + (f"{loads:,.0f} | {keeper:,.0f} |" if not place and each.shards else " | |")
            )
