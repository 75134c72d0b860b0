"""Zipkin v2 to canonical OTLP: JSON and protobuf give the same spans."""

import contextlib
import gc
import gzip
import json
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from collector.attributes import SHARED_ID, SHARED_PARENT_ID
from collector.decode.zipkin import (
    ID_AS_SENT,
    decode_json,
    decode_protobuf,
)
from collector.errors import TooLarge, Undecodable
from collector.wire import zipkin_pb2 as wire
from tests.flat_spans import flat_spans

FIXTURE = Path(__file__).parents[2] / "fixtures/formats/zipkin/spans.json"
ENVOY = Path(__file__).parents[2] / "fixtures/envoy"
CASES: list[dict[str, Any]] = json.loads(FIXTURE.read_text())["cases"]
NOW_NS = 1_767_348_060_000_000_000
START_US = 1_767_348_001_000_000


def _span(**fields: Any) -> dict[str, Any]:
    return {"traceId": "a1", "id": "b1", "timestamp": START_US, **fields}


def _decoded(*spans: dict[str, Any]) -> list[dict[str, Any]]:
    return flat_spans(decode_json(json.dumps(spans).encode(), NOW_NS).message)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_fixture(case: dict[str, Any]) -> None:
    """Each body of the fixture gives the spans and the counts written beside it."""
    canonical = decode_json(json.dumps(case["body"]).encode(), NOW_NS)
    spans = flat_spans(*canonical.messages)
    if "only" in case:
        spans = [{name: span[name] for name in case["only"] if name in span} for span in spans]
    assert spans == case["spans"]
    assert canonical.rejected_by == case.get("rejected_by", {})
    assert canonical.accepted == len(case["spans"])
    assert canonical.accepted + canonical.rejected == len(case["body"])
    assert len(canonical.warnings) == len(case.get("warned", []))
    for text, warning in zip(case.get("warned", []), canonical.warnings, strict=True):
        assert text in warning


def test_protobuf_gives_what_json_gives() -> None:
    """A span in either encoding becomes the same canonical bytes."""
    span = _span(
        traceId="8d0f2b64c7a19e35d2846b0fe1937ac5",
        id="1f6e0a93b7c4d258",
        parentId="e07d4c12985ab36f",
        kind="SERVER",
        name="get",
        duration=12,
        localEndpoint={"serviceName": "orders", "ipv4": "10.8.1.9", "port": 80},
        remoteEndpoint={"serviceName": "web", "ipv6": "fd00::15"},
        annotations=[{"timestamp": START_US + 3, "value": "ws"}],
        tags={"http.method": "GET"},
        debug=True,
        shared=True,
    )
    message = wire.Span(
        trace_id=bytes.fromhex(span["traceId"]),
        id=bytes.fromhex(span["id"]),
        parent_id=bytes.fromhex(span["parentId"]),
        kind=2,
        name=b"get",
        timestamp=START_US,
        duration=12,
        local_endpoint=wire.Endpoint(service_name=b"orders", ipv4=bytes((10, 8, 1, 9)), port=80),
        remote_endpoint=wire.Endpoint(service_name=b"web", ipv6=b"\xfd" + bytes(14) + b"\x15"),
        annotations=[wire.Annotation(timestamp=START_US + 3, value=b"ws")],
        tags=[wire.Tag(key=b"http.method", value=b"GET")],
        debug=True,
        shared=True,
    )
    body = wire.ListOfSpans(spans=[message]).SerializeToString()
    from_json = decode_json(json.dumps([span]).encode(), NOW_NS)
    assert decode_protobuf(body, NOW_NS).message == from_json.message
    assert from_json.accepted == 1


def test_protobuf_ids_of_odd_lengths() -> None:
    """Ids are padded when short and refused when long, missing or zero."""
    spans = [
        wire.Span(trace_id=bytes(7) + b"\1", id=b"\2", timestamp=START_US),
        wire.Span(trace_id=b"\1" * 17, id=b"\2" * 8, timestamp=START_US),
        wire.Span(trace_id=b"\1" * 16, id=b"\2" * 9, timestamp=START_US),
        wire.Span(trace_id=bytes(16), id=b"\2" * 8, timestamp=START_US),
        wire.Span(trace_id=b"\1" * 16, timestamp=START_US),
    ]
    canonical = decode_protobuf(wire.ListOfSpans(spans=spans).SerializeToString(), NOW_NS)
    assert canonical.rejected_by == {
        "trace_id_malformed": 1,
        "trace_id_zero": 1,
        "span_id_malformed": 2,
    }
    assert [span["trace_id"] for span in flat_spans(canonical.message)] == [f"{1:032x}"]


def test_reversed_ids_of_envoy_are_turned_round() -> None:
    """Envoy's protobuf has the bytes of both span ids in the wrong order; what it sent is kept."""
    span = wire.Span(
        trace_id=bytes.fromhex("8d0f2b64c7a19e35d2846b0fe1937ac5"),
        id=bytes.fromhex("58d2c4b7930a6e1f"),
        parent_id=bytes.fromhex("6fb35a98124c7de0"),
        timestamp=START_US,
        tags=[
            wire.Tag(key=b"component", value=b"proxy"),
            wire.Tag(key=b"response_flags", value=b"-"),
        ],
    )
    other = wire.Span(trace_id=span.trace_id, id=span.id, timestamp=START_US)
    body = wire.ListOfSpans(spans=[span, other]).SerializeToString()
    first, second = flat_spans(decode_protobuf(body, NOW_NS).message)
    assert first["trace_id"] == "8d0f2b64c7a19e35d2846b0fe1937ac5"
    assert (first["span_id"], first["parent_span_id"]) == ("1f6e0a93b7c4d258", "e07d4c12985ab36f")
    assert first["attributes"][ID_AS_SENT] == "58d2c4b7930a6e1f"
    assert second["span_id"] == "58d2c4b7930a6e1f"


def test_spans_captured_from_envoy_survive_one_and_all() -> None:
    """What real Envoys sent, shared spans and 64-bit ids among it, is taken whole."""
    names = sorted(ENVOY.glob("*.json"))
    bodies = [json.loads(name.read_text())["zipkin"] for name in names]
    assert sum(map(bool, bodies)) >= 3
    for body in filter(None, bodies):
        latest_ns = max(span["timestamp"] for span in body) * 1000
        canonical = decode_json(json.dumps(body).encode(), latest_ns)
        assert (canonical.accepted, canonical.warnings) == (len(body), ())
        assert len({span["span_id"] for span in flat_spans(canonical.message)}) == len(body)


def test_shared_span_keeps_both_halves() -> None:
    """The server's half gets its own id below the client's, and says what it was sent as."""
    call = {"traceId": "a1", "id": "b1", "parentId": "c1", "timestamp": START_US}
    client = {**call, "kind": "CLIENT", "localEndpoint": {"serviceName": "web"}}
    server = {**call, "kind": "SERVER", "shared": True, "localEndpoint": {"serviceName": "orders"}}
    first, second = _decoded(client, server)
    assert first["span_id"] == "00000000000000b1"
    assert first["parent_span_id"] == "00000000000000c1"
    assert second["parent_span_id"] == "00000000000000b1"
    assert second["span_id"] not in (first["span_id"], first["parent_span_id"])
    assert second["attributes"] == {
        SHARED_ID: "00000000000000b1",
        SHARED_PARENT_ID: "00000000000000c1",
    }
    assert _decoded(server)[0] == second


def test_retried_servers_under_one_shared_id_stay_apart() -> None:
    """Two servers that answered attempts of one call do not overwrite each other."""
    shared = _span(kind="SERVER", shared=True)
    tries = [
        {**shared, "localEndpoint": {"serviceName": "orders", "ipv4": "10.0.0.1"}},
        {**shared, "localEndpoint": {"serviceName": "orders", "ipv4": "10.0.0.2"}},
        {
            **shared,
            "localEndpoint": {"serviceName": "orders", "ipv4": "10.0.0.2"},
            "timestamp": START_US + 1,
        },
    ]
    assert len({span["span_id"] for span in _decoded(*tries)}) == 3


def test_client_half_is_never_renamed() -> None:
    """A client span keeps its id even where a library marks it shared."""
    (span,) = _decoded(_span(kind="CLIENT", shared=True))
    assert span["span_id"] == "00000000000000b1"


def test_one_bad_byte_costs_one_character() -> None:
    """A tag that is not UTF-8 is repaired and told; every span is taken."""
    good = json.dumps(_span(tags={"user": "Zoé"}), ensure_ascii=False)
    body = f"[{good},{good}]".encode().replace("é".encode(), b"\xe9", 1)
    canonical = decode_json(body, NOW_NS)
    users = [span["attributes"]["user"] for span in flat_spans(canonical.message)]
    assert users == ["Zo\ufffd", "Zoé"]
    assert canonical.repaired >= 1
    assert any("UTF-8" in warning for warning in canonical.warnings)


def test_lone_surrogate_is_repaired() -> None:
    """Half a surrogate pair in JSON is legal there and nowhere else."""
    canonical = decode_json(json.dumps([_span(tags={"a": "x\ud800y"})]).encode(), NOW_NS)
    assert flat_spans(canonical.message)[0]["attributes"] == {"a": "x\ufffdy"}


def test_protobuf_text_that_is_not_utf8_is_repaired() -> None:
    """Wrong bytes in a protobuf string cost themselves only."""
    span = wire.Span(
        trace_id=b"\1" * 16,
        id=b"\2" * 8,
        timestamp=START_US,
        name=b"caf\xe9",
        tags=[wire.Tag(key=b"k", value=b"\xff")],
    )
    canonical = decode_protobuf(wire.ListOfSpans(spans=[span]).SerializeToString(), NOW_NS)
    (flat,) = flat_spans(canonical.message)
    assert (flat["name"], flat["attributes"]) == ("caf\ufffd", {"k": "\ufffd"})
    assert canonical.repaired == 2


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"null",
        b'"span"',
        b"[{]",
        b"\xff\xfe",
        b"[" * 10_000,
        b"[" * 10_000 + b"]" * 10_000,
        b'[{"tags":' + b'{"a":' * 10_000,
        b'["\\ud800",' + b"[" * 100_000,
        gzip.compress(b"[]", mtime=0),
        wire.ListOfSpans(spans=[wire.Span(trace_id=b"\1" * 16)]).SerializeToString(),
    ],
)
def test_body_that_is_no_array_of_spans_is_refused_at_once(body: bytes) -> None:
    """A wrong, cut off or 10,000 levels deep body is refused within a second."""
    started = time.thread_time()
    with pytest.raises(Undecodable):
        decode_json(body, NOW_NS)
    assert time.thread_time() - started < 1


@pytest.mark.parametrize("body", [b"[]", b'[{"traceId":"a1"}]', b"\x0a\xff", b"\x0a" * 10_001])
def test_body_that_is_no_list_of_spans_is_refused(body: bytes) -> None:
    """JSON under the protobuf content type, or cut off protobuf, is refused."""
    with pytest.raises(Undecodable):
        decode_protobuf(body, NOW_NS)


def test_nothing_is_an_empty_list() -> None:
    """An empty protobuf body is a list without spans and is accepted."""
    canonical = decode_protobuf(b"", NOW_NS)
    assert (canonical.accepted, canonical.rejected, canonical.messages) == (0, 0, ())


def test_large_batch_is_cut_into_pieces() -> None:
    """A batch larger than a piece is kept whole, in several messages."""
    spans = [_span(id=f"{n + 1:x}", tags={"note": "n" * 900}) for n in range(5000)]
    canonical = decode_json(json.dumps(spans).encode(), NOW_NS)
    assert canonical.accepted == 5000
    assert len(canonical.messages) > 1
    assert len(flat_spans(*canonical.messages)) == 5000


def test_span_too_large_to_store_is_rejected_alone() -> None:
    """A span of more than a mebibyte costs only itself."""
    canonical = decode_json(json.dumps([_span(name="n" * 1_100_000), _span()]).encode(), NOW_NS)
    assert (canonical.accepted, canonical.rejected_by) == (1, {"too_large": 1})


@pytest.mark.parametrize("is_json", [True, False])
def test_too_many_tags_and_annotations_are_capped(is_json: bool) -> None:
    """A span with very many tags is taken with as many as the limit allows, the rest counted."""
    count = 50_000
    if is_json:
        tags = {f"{n:x}": "" for n in range(count)}
        annotations = [{"timestamp": START_US, "value": "a"}] * count
        body = json.dumps([_span(tags=tags, annotations=annotations)]).encode()
        canonical = decode_json(body, NOW_NS)
    else:
        span = wire.Span(trace_id=b"\1" * 16, id=b"\2" * 8, timestamp=START_US)
        span.tags.extend(wire.Tag(key=b"%x" % n) for n in range(count))
        span.annotations.extend(wire.Annotation(timestamp=START_US) for _ in range(count))
        canonical = decode_protobuf(wire.ListOfSpans(spans=[span]).SerializeToString(), NOW_NS)
    (flat,) = flat_spans(canonical.message)
    assert len(flat["attributes"]) == len(flat["events"]) == 1024
    assert (flat["dropped_attributes"], flat["dropped_events"]) == (count - 1024, count - 1024)
    assert len(canonical.warnings) == 2


HUNGRY = {
    "empty objects": b"[" + b"{}," * 2_700_000 + b"{}]",
    "empty lists": b"[" + b"[]," * 2_700_000 + b"[]]",
    "more than the limit": b"[" + b" " * 9_000_000 + b"]",
    "empty spans": b"\x0a\x00" * 8_000_000,
    "a span of empty tags": wire.ListOfSpans().SerializeToString()
    + b"\x0a\x80\x80\x80\x01"
    + b"\x5a\x00" * 1_048_576,
}


@pytest.fixture
def rare_collections() -> Iterator[None]:
    """Collect garbage as rarely as the ingest process does."""
    before = gc.get_threshold()
    gc.set_threshold(50_000)
    yield
    gc.set_threshold(*before)


@pytest.mark.usefixtures("rare_collections")
@pytest.mark.parametrize("name", HUNGRY)
def test_bodies_made_to_fill_the_memory(name: str) -> None:
    """A few megabytes of nothings are refused without taking hundreds of them."""
    body = HUNGRY[name]
    decode = decode_json if body.startswith(b"[") else decode_protobuf
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.thread_time()
    with contextlib.suppress(TooLarge, Undecodable):
        assert decode(body, NOW_NS).accepted == 0
    assert time.thread_time() - started < 2
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < 260 * 1024
