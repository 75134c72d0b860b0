"""Log records without a trace id of their own are found by the ids that they carry."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from collector.identity.ids import request_id_key
from collector.model import Stream
from collector.query.timelines.resolve import gather, read_ids
from collector.store import Store
from tests.stored import (
    NOW_NS,
    Loading,
    encode_log,
    make_record,
    opened,
    query_rows,
    store_settings,
    trace_id,
)

TRACE = trace_id(7)
PARENT = f"00-{TRACE}-00000000000000b7-01"
REQUEST = "3f0ad9d2-51c7-9b1e-8d0c-7a6b5c4d3e2f"
KEY = request_id_key(REQUEST)
# as Linkerd logs it where a load balancer of AWS stands in front
XRAY = f"Root=1-{TRACE[:8]}-{TRACE[8:]}"
LINE = (
    '[2026-09-21T14:13:19.120Z] "GET /basket HTTP/1.1" 503 UF via_upstream - "reset" 0 91 12 - '
    f'"-" "curl \\"8\\"" "{REQUEST}" "basket.shop" "10.0.0.7:8080" '
    "outbound|80||basket.shop.svc.cluster.local 10.0.0.5:41000 10.0.0.7:80 10.0.0.5:40998 - default"
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty embedded store."""
    with opened(store_settings(tmp_path / "store")) as found:
        yield found


@pytest.fixture
def load(store: Store, tmp_path: Path) -> Loading:
    """Loads hand-made segments into `store`."""
    return Loading(store, tmp_path)


CASES: list[tuple[dict[str, object], str, list[str]]] = [
    ({"x-request-id": REQUEST}, "", [KEY]),
    ({"request_id": REQUEST, "traceparent": PARENT}, "", [KEY, TRACE]),
    ({"http.request.header.x-request-id": [REQUEST]}, "", [KEY]),
    ({"X-B3-TraceId": TRACE[16:]}, "", ["0" * 16 + TRACE[16:]]),
    ({"b3": f"{TRACE}-00000000000000b7-1"}, "", [TRACE]),
    ({"trace_id": REQUEST}, "", [KEY]),
    ({}, json.dumps({"request_id": REQUEST, "traceparent": PARENT}), [KEY, TRACE]),
    ({}, json.dumps({"trace_id": XRAY, "processing_ns": "9120"}), [TRACE]),
    ({"trace_id": f"Self=1-67891234-12456789abcdef012345678f;{XRAY};Parent=53995c3f"}, "", [TRACE]),
    ({}, LINE, [KEY]),
    ({}, LINE.partition(" outbound|80")[0], [KEY]),
    ({"order_id": REQUEST}, f"order {REQUEST} is paid", []),
    ({"traceparent": "00-" + "0" * 32 + "-" + "0" * 16 + "-00", "x-request-id": "-"}, "", []),
    ({}, '{"request_id": null, "traceparent": 17}', []),
]


def test_ids_in_fields_lead_to_the_record(store: Store, load: Loading) -> None:
    """Attributes, JSON bodies and Envoy's text format are read; other texts, zero ids are not."""
    messages = [
        encode_log(
            time_unix_nano=NOW_NS + number,
            attributes=attributes,
            body=AnyValue(string_value=body),
        )
        for number, (attributes, body, _) in enumerate(CASES)
    ]
    load.messages(Stream.LOG, *messages)
    sql = f"SELECT RequestKeys FROM {_database(store)}.otel_logs ORDER BY Timestamp"
    assert [sorted(keys) for (keys,) in query_rows(store, sql)] == [
        sorted(keys) for _, _, keys in CASES
    ]
    for key in {key for _, _, keys in CASES for key in keys}:
        [hit] = store.find_ids([key])
        assert (hit.trace_id, hit.gateway, hit.record_id) == ("", "", "")
        carrying = [number for number, (_, _, keys) in enumerate(CASES) if key in keys]
        assert [log.time_ns - NOW_NS for log in store.find_logs([key])] == carrying
    assert store.find_logs([request_id_key("another")]) == []
    assert store.find_logs([TRACE], received_until_ns=NOW_NS - 1) == []


def test_record_with_its_own_trace_id_leads_to_its_trace(store: Store, load: Loading) -> None:
    """An access log of a trace without any span makes its request id and its trace id known."""
    message = encode_log(
        time_unix_nano=NOW_NS, trace_id=bytes.fromhex(TRACE), attributes={"x-request-id": REQUEST}
    )
    load.messages(Stream.LOG, message)
    for key in (KEY, TRACE):
        [hit] = store.find_ids([key])
        assert (hit.trace_id, hit.record_id) == (TRACE, "")
    assert store.find_logs([TRACE]) == []
    assert len(store.get_logs([TRACE])) == 1


def test_logs_are_gathered_with_the_request(store: Store, load: Loading) -> None:
    """From a record's id by way of its trace, or from one id of a log line to the other lines."""
    record = make_record(1, trace_id=TRACE)
    load.records(record)
    lines = [
        {"traceparent": PARENT, "x-request-id": REQUEST, "response_flags": "-", "duration": 8},
        {"x-request-id": REQUEST, "response_flags": "UF", "duration": 5},
        {"x-request-id": "another", "response_flags": "-", "duration": 5},
    ]
    messages = [
        encode_log(time_unix_nano=NOW_NS + number, attributes=line)
        for number, line in enumerate(lines)
    ]
    load.messages(Stream.LOG, *messages)
    with ThreadPoolExecutor(2) as aside:
        for text in (record.record_id, TRACE, REQUEST, PARENT):
            found = gather(store, read_ids(text), aside)
            assert [r.record_id for r in found.records] == [record.record_id], text
            assert [log.time_ns - NOW_NS for log in found.logs] == [0, 1], text
        assert gather(store, read_ids(TRACE), aside, received_until_ns=NOW_NS - 1).logs == []


def _database(store: Store) -> str:
    [(name,)] = query_rows(
        store, "SELECT database FROM system.tables WHERE name = 'otel_logs' LIMIT 1"
    )
    return str(name)
