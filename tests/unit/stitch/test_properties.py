"""What holds for every timeline, whatever was sent."""

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from collector.model import GatewayRecord, Id, Span
from tests.unit.stitch.building import LONG_AFTER, MS, START, stitch
from tests.unit.stitch.test_bad_input import check_invariants

TRACES = ("1f" * 16, "2e" * 16, "0" * 16 + "2e" * 8)
REQUEST_IDS = (
    "6a1d4c02-77aa-4b1e-9c3d-5f0e8b7a6c5d",
    "6a1d4c02-77aa-9b1e-9c3d-5f0e8b7a6c5d",
    "plain-id",
)
ids = st.integers(1, 12).map(lambda n: f"{n:016x}")
moments = st.one_of(
    st.integers(0, 200), st.integers(-5, 400), st.sampled_from([0, 100, 10**7])
).map(lambda ms: START + ms * MS)
attributes = st.fixed_dictionaries(
    {},
    optional={
        "component": st.just("proxy"),
        "node_id": st.sampled_from(
            ["sidecar~1~a-x-1.n~d", "router~1~gw-1-2.n~d", "waypoint~1~w.n~d", "front-envoy", "~"]
        ),
        "upstream_cluster": st.sampled_from(["inbound|80||", "outbound|80||b.n.svc.x", "b", ""]),
        "response_flags": st.sampled_from(["-", "UT", "UF,URX", "DC", "ZZ"]),
        "http.status_code": st.sampled_from(["200", "404", "503", "0", "abc"]),
        "guid:x-request-id": st.sampled_from(REQUEST_IDS),
        "db.system": st.just("redis"),
        "direction": st.sampled_from(["inbound", "outbound"]),
        "retry.count": st.sampled_from(["1", "2"]),
        "http.url": st.sampled_from(["http://b/x", "http://b-shadow/x", "::"]),
    },
)
spans = st.builds(
    Span,
    trace_id=st.sampled_from(TRACES),
    span_id=ids,
    parent_span_id=st.one_of(st.just(""), ids),
    name=st.sampled_from(["x", "egress b", "ingress"]),
    service=st.sampled_from(["a", "b", "c", "envoy", ""]),
    start_ns=moments,
    end_ns=moments,
    kind=st.sampled_from(["Server", "Client", "Internal", "Producer", "Consumer", "Unspecified"]),
    status=st.sampled_from(["Unset", "Ok", "Error"]),
    attributes=attributes,
    resource=st.fixed_dictionaries({}, optional={"k8s.pod.name": st.sampled_from(["a-1", "b-1"])}),
    received_ns=st.integers(0, 3),
)
amounts = st.one_of(st.none(), st.integers(-2, 300).map(lambda ms: ms * MS), st.just(3 * 10**17))
records = st.builds(
    GatewayRecord,
    gateway=st.sampled_from(["azure-apim", "kong"]),
    record_id=st.sampled_from([*REQUEST_IDS, "r1", "r2"]),
    start_ns=moments,
    instance=st.sampled_from(["", "outer", "inner"]),
    source=st.sampled_from(["logs", "rows"]),
    ids=st.lists(st.sampled_from(REQUEST_IDS).map(lambda v: Id("x_request_id", v)), max_size=2).map(
        tuple
    ),
    trace_id=st.sampled_from(["", *TRACES]),
    parent_span_id=st.one_of(st.just(""), ids),
    outgoing_span_id=st.one_of(st.just(""), ids),
    duration_ns=amounts,
    client_ns=amounts,
    gateway_ns=amounts,
    cache_ns=amounts,
    backend_ns=amounts,
    resolution_ns=st.sampled_from([1, 1000, MS, 1000 * MS]),
    status=st.sampled_from([None, 200, 401, 504]),
    backend_status=st.sampled_from([None, 200, 503]),
    error_reason=st.sampled_from(["", "Timeout", "BackendConnectionFailure"]),
    attempts=st.sampled_from([None, 1, 3]),
    received_ns=st.integers(0, 3),
)


@settings(max_examples=70, deadline=None)
@given(
    st.lists(spans, max_size=14),
    st.lists(records, max_size=4),
    st.sampled_from(["", "r1", *TRACES, *REQUEST_IDS, "0" * 15 + "3"]),
    st.integers(0, 1000),
)
def test_every_timeline_holds_together(
    some_spans: list[Span], some_records: list[GatewayRecord], subject: str, seed: int
) -> None:
    """Phases sum, sections tile, ids are unique, the order of arrival does not matter."""
    if not some_spans and not some_records:
        return
    timeline = stitch(some_records, some_spans, now_ns=LONG_AFTER, subject=subject)
    check_invariants(timeline)
    shuffled = random.Random(seed)
    shuffled.shuffle(some_spans)
    shuffled.shuffle(some_records)
    assert stitch(some_records, some_spans, now_ns=LONG_AFTER, subject=subject) == timeline


@settings(max_examples=70, deadline=None)
@given(st.lists(spans, min_size=1, max_size=14), st.lists(records, max_size=1))
def test_no_span_of_the_trace_is_dropped(
    some_spans: list[Span], some_records: list[GatewayRecord]
) -> None:
    """Each span id of a stitched trace is in the timeline, above it, or another request's."""
    timeline = stitch(some_records, some_spans, now_ns=LONG_AFTER)
    shown: set[Any] = {(s.trace_id, s.raw_span_id) for s in timeline.spans}
    shown |= {(s.trace_id, s.raw_span_id) for s in timeline.callers}
    sent = {(s.trace_id, s.span_id) for s in some_spans if s.trace_id == timeline.trace_id}
    is_whole = not timeline.others and not timeline.callers
    assert not is_whole or not any(s.role != "gateway" for s in timeline.spans) or sent <= shown
