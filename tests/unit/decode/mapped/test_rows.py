"""Entries become records as their mapping says, in every form that a log has."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.decode.fields import FieldError
from collector.decode.mapped.mapping import parse_mappings
from collector.decode.mapped.rows import make_reader
from collector.decode.pairs import parse_logfmt
from collector.decode.reading import Reader, read_body
from collector.model import GatewayRecord, Id

EXAMPLE = Path(__file__).parents[4] / "deploy" / "gateways" / "mappings" / "example.toml"
READER, TEXT_READER = [make_reader(each) for each in parse_mappings(EXAMPLE.read_text())]
MS = 1_000_000
WHOLE = st.integers(-(2**63), 2**63 - 1)
AT_NS = 1_772_600_767_250 * MS
TRACE, SPAN = "3e" * 16, "9d" * 8
ENTRY: dict[str, Any] = {
    "type": "access",
    "time": "2026-03-04T05:06:07.250Z",
    "took": 41.5,
    "upstream": {"connect": 1.5, "wait": 30, "tries": [{"host": "a:1"}, {"host": "b:2"}]},
    "request": {
        "method": "PUT",
        "path": "/berths/4?dry=1",
        "headers": {"Traceparent": f"00-{TRACE}-{SPAN}-00", "X-Request-ID": "berth-77-20260304"},
    },
    "status": 503,
    "route": "berths",
    "zone": "north",
}


def _only(reader: Reader, body: str | bytes | dict[str, Any]) -> GatewayRecord:
    if isinstance(body, dict):
        body = json.dumps(body)
    reading = read_body(reader, body.encode() if isinstance(body, str) else body)
    assert not reading.rejected, reading.rejected
    (record,) = reading.records
    return record


def test_every_kind_of_place_is_read() -> None:
    """Members of members, the last of a list, a sum, header maps, what is kept besides."""
    record = _only(READER, ENTRY)
    assert (record.gateway, record.start_ns, record.status) == ("edge", AT_NS, 503)
    assert (record.duration_ns, record.backend_ns) == (41.5 * MS, 31.5 * MS)
    assert (record.method, record.path, record.api) == ("PUT", "/berths/4", "berths")
    assert record.backend_host == "b:2"
    assert (record.trace_id, record.outgoing_span_id, record.is_sampled) == (TRACE, SPAN, False)
    assert record.ids == (Id("x_request_id", "berth-77-20260304"),)
    assert record.attributes == {"url.query": "dry=1", "edge.zone": "north"}
    assert record.is_error
    assert record.record_id.startswith("~")


def test_members_may_have_the_dots_in_their_names() -> None:
    """What a shipper has flattened is the same entry."""
    flat = {
        "type": "access",
        "time": ENTRY["time"],
        "upstream.connect": 1.5,
        "upstream.wait": 30,
        "request.method": "PUT",
        "request": {"path": "/berths/4"},
        "code": "503 Service Unavailable",
    }
    record = _only(READER, flat)
    assert (record.backend_ns, record.method, record.path) == (31.5 * MS, "PUT", "/berths/4")
    assert record.status == 503
    # a sum of which a part is unknown is unknown, and not the rest of it
    assert _only(READER, flat | {"upstream.wait": -1}).backend_ns is None


@pytest.mark.parametrize(
    "body",
    [
        {"log": json.dumps(ENTRY), "stream": "stdout"},
        {"@timestamp": "2026-03-04T05:06:09Z", "message": ENTRY},
        {"records": [ENTRY]},
        f"2026-03-04T05:06:07.3Z stdout F {json.dumps(ENTRY)}",
        f"<134>Mar  4 05:06:07 host edge[7]: {json.dumps(ENTRY)}",
    ],
    ids=["docker", "logstash", "records", "CRI", "syslog"],
)
def test_what_is_around_an_entry_is_taken_off(body: Any) -> None:
    """Mappings tell of the entry alone; shippers are known to all adapters alike."""
    assert _only(READER, body).record_id == _only(READER, ENTRY).record_id


def test_logfmt_needs_no_pattern() -> None:
    """A line of pairs has the same places."""
    line = 'ts=1772600767.250 type=access status=200 took=12ms request.path="/a \\"b\\"" route=x'
    record = _only(READER, line)
    assert (record.path, record.duration_ns, record.start_ns) == ('/a "b"', 12 * MS, AT_NS)


@pytest.mark.parametrize(
    "before", ["", "[pod/edge-1/edge] ", "<134>1 2026-03-04T05:06:09Z host edge 7 - - "]
)
def test_a_moment_before_the_pairs_is_their_time(before: str) -> None:
    """Loggers write it bare; a shipper's own stands further away."""
    line = f"{before}2026-03-04T05:06:07.250Z info request type=access status=200 route=x"
    assert _only(READER, line).start_ns == AT_NS
    assert _only(READER, line.replace(" info request", "")).start_ns == AT_NS


def test_a_text_line_is_read_by_its_pattern_whatever_stands_around() -> None:
    """The end is stamped here, so the start is reckoned; the id is of the line's own part."""
    line = '10.3.0.9 [04/Mar/2026:05:06:07 +0000] "GET /berths?x=1 HTTP/1.1" 204 0.500'
    record = _only(TEXT_READER, line)
    assert record.start_ns == AT_NS - 250 * MS - 500 * MS
    assert (record.method, record.path, record.protocol) == ("GET", "/berths", "HTTP/1.1")
    assert (record.client_address, record.duration_ns) == ("10.3.0.9", 500 * MS)
    wrapped = f"2026-03-04T05:06:07.3Z stdout F {line}"
    assert _only(TEXT_READER, wrapped).record_id == record.record_id


@pytest.mark.parametrize(
    ("value", "ns"),
    [
        (12, 12 * MS),
        ("12.5", 12.5 * MS),
        ("1.25s", 1250 * MS),
        ("850µs", 0.85 * MS),
        ("1m2.5s", 62_500 * MS),
        ("3, 4", 7 * MS),
        ("-", None),
        ("-, 4", 4 * MS),
        (-1, None),
        ("-1", None),
        (None, None),
    ],
)
def test_durations_in_their_notations(value: object, ns: float | None) -> None:
    """Numbers in the mapping's unit, text with its own, a value a try; unknown is not zero."""
    assert _only(READER, ENTRY | {"took": value, "upstream": {}}).duration_ns == ns


def test_what_is_ignored_is_counted_and_what_cannot_be_read_is_named_as_sent() -> None:
    """Answers speak of the sender's own names."""
    ready = ENTRY | {"path": "/ready"}
    odd = [ENTRY | {"took": "a while"}, ENTRY | {"status": []}, ENTRY | {"time": None}]
    other = {"type": "audit", "status": 1}
    reading = read_body(READER, json.dumps([ready, *odd, other]).encode())
    assert [each.code for each in reading.ignored] == ["event"]
    assert [each.field for each in reading.rejected] == ["took", "status", "time", "type=access"]


def test_a_record_without_a_time_gets_that_of_its_arrival() -> None:
    """Where the mapping tells of none, intake knows it."""
    text = '[[gateway]]\nname = "t"\nmatch = ["code"]\n[gateway.fields]\nstatus = "code"\n'
    (mapping,) = parse_mappings(text)
    record = _only(make_reader(mapping), {"code": 200})
    assert (record.start_ns, record.duration_ns) == (0, None)


@pytest.mark.parametrize("status", [499, 502, 504])
def test_a_backend_s_status_that_may_be_the_gateway_s_is_none(status: int) -> None:
    """Proxies write their own for a backend that was silent: nobody is blamed for it."""
    text = (
        '[[gateway]]\nname = "t"\nmatch = ["code"]\n[gateway.fields]\nstatus = "code"\n'
        'backend_status = "theirs"\n'
    )
    (mapping,) = parse_mappings(text)
    reader = make_reader(mapping)
    assert _only(reader, {"code": status, "theirs": status}).backend_status is None
    assert _only(reader, {"code": 500, "theirs": 500}).error_source == "backend"
    assert _only(reader, {"code": 503, "theirs": 200}).error_source == "gateway"


@given(
    st.dictionaries(
        st.sampled_from([*ENTRY, "ts", "code", "request.path", "upstream.wait"]),
        st.recursive(
            st.none() | st.booleans() | WHOLE | st.floats(allow_nan=False) | st.text(),
            lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner),
            max_leaves=4,
        ),
    )
)
def test_any_values_give_a_record_or_a_reason(values: dict[str, Any]) -> None:
    """Whatever stands in a place, it costs this entry at most."""
    try:
        READER.read_row(ENTRY | values | {"type": "access"})
    except FieldError as exc:
        assert exc.reason


@given(st.text(max_size=300))
def test_any_line_is_pairs_or_none(line: str) -> None:
    """Lines that are no logfmt are read without complaint."""
    assert isinstance(parse_logfmt(line), dict)


def test_hostile_lines_take_no_time() -> None:
    """Quotation marks without end, and names without values, are passed in one go."""
    for line in ('a="' + "\\" * 60_000, "a=" * 30_000, 'a="b" ' * 10_000, "a" * 65_000 + "="):
        assert len(parse_logfmt(line)) <= 256
