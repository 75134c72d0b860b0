"""
How journals and loads behave when the engine is busy or away: a simulation in small steps.

Every ingest node has a journal. What comes in grows a segment, which is closed by its age, or while
several wait by its size, and the oldest two are loaded at once. A load takes some processor however
little is in it, and some for each span; merging follows. All loads and merges share the engine's
cores: what a node has left, or those of all ClickHouse servers. On a cluster a load reaches every
shard, and takes its fixed part there. Of many nodes a few are simulated with their share of cores.

Pure. No network, no disk and no Keeper is simulated.

Source: tests/bench/README.md for costs; collector/journal/writer.py for when segments are closed.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from random import Random

from collector.cli.capacity import (
    CORES_A_NODE,
    FLUSH_S,
    INGEST_US,
    LOADING_CORES,
    READ_S,
    RECORD_LOAD_US,
    SEGMENT_SPANS,
    SHARD_CORES,
    STORE_US,
    WRITE_S,
    Load,
    Plan,
    plan,
    span_us,
)

# Of what a span takes in the store, merges take this.
MERGE_US = 3.4
# So fast is each of two loads of a node at once.
SPEED_AT_ONCE = LOADING_CORES / 2
SEGMENT_BYTES = 48 * 2**20
QUOTA_BYTES = 4 * 2**30
# As the writer of the journal has it.
_BACKLOG_SEGMENTS, _BACKLOG_AGE_RATIO = 3, 30
_LOADS_AT_ONCE = 2
# Parts of about so many loads are merged at once: in gulps, which loads feel (see otel_traces.sql).
_MERGED_AT_ONCE = 10
_OF_LOAD_US = (READ_S + WRITE_S) / SEGMENT_SPANS * 1e6
_SIMULATED_NODES = 6
_STEP_S = 0.1
_AWAY_S = 600.0
_LONGEST_S = 3_600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """
    What comes to each node, what it costs, and what there is for it.

    `work_us` is processor a span in loads, with what comes along with it. A load with nothing in it
    takes `load_s`, on one core as long as it has one; `elsewhere_s` of processor goes to it at the
    other shards meanwhile. `cores` are those of the engine for all nodes; of them `beside_us` a
    span goes to others while it comes in. The engine is away for `away_s` after the first minute.
    What comes in ends after `lasts_s`.
    """

    nodes: int
    spans_per_s: float
    work_us: float
    load_s: float
    cores: float
    elsewhere_s: float = 0
    beside_us: float = 0
    merge_us: float = MERGE_US
    away_s: float = 0
    lasts_s: float = 180


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What became of it: seconds from sending until a question finds a span, over all of them.

    `deepest_bytes` is the most that one journal held. For `refused_s` it was full, and senders had
    to keep what they sent. `caught_up_s` is how long after an outage, or after what came in ended,
    no more waited than usually; `None`: not within an hour.
    """

    p50_s: float
    p99_s: float
    deepest_bytes: int
    refused_s: float
    caught_up_s: float | None


@dataclass(slots=True)
class _Segment:
    opened_s: float
    spans: float = 0.0
    closed_s: float = 0.0
    left_s: float = 0.0
    width: float = 1.0


@dataclass(slots=True)
class _Node:
    segment: _Segment
    waiting: deque[_Segment] = field(default_factory=deque)
    loading: list[_Segment] = field(default_factory=list)
    unmerged: list[float] = field(default_factory=list)
    held_spans: float = 0.0


def simulate(flow: Flow) -> Outcome:
    """Return what becomes of *flow*, the same each time."""
    chance = Random(17)  # noqa: S311 - only so that nodes do not close their segments together
    nodes = [_Node(_Segment(-chance.random() * FLUSH_S)) for _ in range(_simulated(flow))]
    share = len(nodes) / flow.nodes
    refused, deepest, merging_s = 0.0, 0.0, 0.0
    quota = QUOTA_BYTES / SEGMENT_BYTES * SEGMENT_SPANS
    waits: list[tuple[float, float]] = []
    now_s, back_s = 0.0, 60 + flow.away_s if flow.away_s else flow.lasts_s
    caught_up_s = None
    while now_s < _LONGEST_S:
        now_s += _STEP_S
        is_away = flow.away_s > 0 and 60 <= now_s < back_s
        spans = flow.spans_per_s * _STEP_S if now_s <= flow.lasts_s else 0.0
        for node in nodes:
            if node.held_spans + spans > quota:
                refused += spans
            else:
                node.held_spans += spans
                node.segment.spans += spans
            deepest = max(deepest, node.held_spans)
            _close(node, flow, now_s)
            while not is_away and node.waiting and len(node.loading) < _LOADS_AT_ONCE:
                node.loading.append(node.waiting.popleft())
        if not is_away:
            cores = flow.cores * share - spans / _STEP_S * flow.beside_us / 1e6 * len(nodes)
            busy = sum(segment.width for node in nodes for segment in node.loading)
            merges = min(max(cores / 2, min(cores, 1)), merging_s / _STEP_S)
            speed = min(1.0, cores / (busy + merges)) if busy + merges else 0.0
            merging_s -= merges * speed * _STEP_S
            for node in nodes:
                for done in _go_on(node, speed):
                    node.unmerged.append(done.spans * flow.merge_us / 1e6)
                    waits += _waits(done, now_s)
                if len(node.unmerged) >= _MERGED_AT_ONCE:
                    merging_s += sum(node.unmerged)
                    node.unmerged.clear()
        if now_s > back_s and all(node.held_spans < 3 * flow.spans_per_s for node in nodes):
            caught_up_s = now_s - back_s
            break
    p50_s, p99_s = _quantiles(waits, 0.5, 0.99)
    return Outcome(
        p50_s=p50_s,
        p99_s=p99_s,
        deepest_bytes=round(deepest / SEGMENT_SPANS * SEGMENT_BYTES),
        refused_s=refused / len(nodes) / flow.spans_per_s,
        caught_up_s=caught_up_s,
    )


def _simulated(flow: Flow) -> int:
    return min(flow.nodes, _SIMULATED_NODES)


def _close(node: _Node, flow: Flow, now_s: float) -> None:
    """Close the open segment when it is due, as the journal does."""
    segment = node.segment
    ratio = 1 if len(node.waiting) + len(node.loading) < _BACKLOG_SEGMENTS else _BACKLOG_AGE_RATIO
    is_due = now_s - segment.opened_s >= FLUSH_S * ratio
    if segment.spans and (is_due or segment.spans >= SEGMENT_SPANS):
        segment.closed_s = now_s
        segment.left_s = flow.load_s + segment.spans * flow.work_us / 1e6
        segment.width = 1 + flow.elsewhere_s / segment.left_s
        node.waiting.append(segment)
        node.segment = _Segment(now_s)


def _go_on(node: _Node, speed: float) -> list[_Segment]:
    """Load for a step; return what is done."""
    each = speed * (SPEED_AT_ONCE if len(node.loading) > 1 else 1)
    for segment in node.loading:
        segment.left_s -= each * _STEP_S
    done = [segment for segment in node.loading if segment.left_s <= 0]
    if done:
        node.loading = [segment for segment in node.loading if segment.left_s > 0]
        node.held_spans -= sum(segment.spans for segment in done)
    return done


def _waits(segment: _Segment, now_s: float) -> Iterator[tuple[float, float]]:
    """Yield how long spans waited, with how many: they came evenly while it was open."""
    for part in range(5):
        came_s = segment.opened_s + (part + 0.5) / 5 * (segment.closed_s - segment.opened_s)
        yield now_s - came_s, segment.spans / 5


def _quantiles(waits: list[tuple[float, float]], *ratios: float) -> Iterator[float]:
    waits.sort()
    total = sum(spans for _, spans in waits)
    for ratio in ratios:
        passed = 0.0
        for wait_s, spans in waits:
            passed += spans
            if passed >= ratio * total:
                yield wait_s
                break


def flow_of(each: Plan) -> Flow:
    """Return what comes to the nodes of a plan at the peak."""
    load, shards = each.load, max(each.shards // each.clusters, 1)
    of_record_us = RECORD_LOAD_US / load.spans
    cores = float(each.shards * SHARD_CORES) if each.shards else float(CORES_A_NODE)
    spans_per_s = each.spans_per_s / each.nodes
    loads_per_s = each.loads_per_s / each.nodes
    # a load of spans has those of records with it: as many as there are of both
    both = loads_per_s / max(1 / FLUSH_S, spans_per_s / SEGMENT_SPANS)
    return Flow(
        nodes=each.nodes,
        spans_per_s=spans_per_s,
        # what the measured figure has of loads' own is given to each load
        work_us=span_us(STORE_US, load.batch) - MERGE_US - _OF_LOAD_US + of_record_us,
        load_s=(READ_S + WRITE_S) * both,
        elsewhere_s=WRITE_S * (shards - 1) * both,
        cores=cores,
        beside_us=0 if each.shards else span_us(INGEST_US, load.batch),
    )


def scenarios(each: Plan) -> Iterator[tuple[str, Outcome]]:
    """Yield what becomes of a plan at its peak, without one of its nodes, and after an outage."""
    flow = flow_of(each)
    yield "at the peak", simulate(flow)
    if each.nodes > 1:
        left = each.nodes - 1
        more = flow.spans_per_s * each.nodes / left
        yield "a node gone", simulate(replace(flow, nodes=left, spans_per_s=more))
    yield "engine away for 10 minutes", simulate(replace(flow, away_s=_AWAY_S, lasts_s=_LONGEST_S))


def describe_scenarios(load: Load) -> list[dict[str, object]]:
    """Return the simulation of the plan of *load* as JSON has it."""
    return [{"scenario": name, **asdict(found)} for name, found in scenarios(plan(load))]
