"""Envoy's gRPC access log entries to log records, and back to what the proxy saw."""

import time
from typing import Any

import pytest

from collector.decode.envoy.access_log import RESPONSE_FLAGS, AccessLogEntry, entry_from_log
from collector.decode.envoy.access_log_service import _FLAGS, decode_access_logs
from collector.errors import TooLarge, Undecodable
from collector.model import LogRecord
from collector.wire import envoy_als_pb2 as wire
from tests.flat_spans import flat_logs

START_S = 1_767_348_001
NOW_NS = (START_S + 60) * 1_000_000_000


def _identifier() -> wire.Identifier:
    node = wire.Node(
        id=b"sidecar~10.8.1.9~orders-7f9c5d6b8-k2l4m.depot~depot.svc.cluster.local",
        cluster=b"orders.depot",
        locality=wire.Locality(zone=b"zone-b"),
    )
    return wire.Identifier(node=node, log_name=b"mesh")


def _entry(**request: Any) -> wire.HttpAccessLogEntry:
    entry = wire.HttpAccessLogEntry(
        protocol_version=3,
        request=wire.HttpRequestProperties(
            request_method=3,
            scheme=b"http",
            authority=b"stock:8080",
            path=b"/stock/17",
            user_agent=b"httpx",
            request_id=b"6f1c1c0a-52a4-9c1e-8b70-3f2a9d1e77b0",
            request_body_bytes=12,
            **request,
        ),
        response=wire.HttpResponseProperties(
            response_body_bytes=812, response_code_details=b"via_upstream"
        ),
    )
    entry.response.response_code.value = 503
    common = entry.common_properties
    common.start_time.seconds, common.start_time.nanos = START_S, 250
    common.time_to_last_rx_byte.nanos = 11_000
    common.time_to_first_upstream_tx_byte.nanos = 42_000
    common.time_to_last_upstream_tx_byte.nanos = 43_000
    common.time_to_first_upstream_rx_byte.nanos = 900_000
    common.time_to_last_upstream_rx_byte.nanos = 950_000
    common.time_to_first_downstream_tx_byte.nanos = 960_000
    common.time_to_last_downstream_tx_byte.nanos = 990_000
    common.duration.nanos = 995_000
    common.upstream_cluster = b"outbound|8080||stock.depot.svc.cluster.local"
    common.upstream_remote_address.socket_address.address = b"10.8.3.21"
    common.upstream_remote_address.socket_address.port_value = 8080
    common.downstream_remote_address.socket_address.address = b"fd00::9"
    common.downstream_remote_address.socket_address.port_value = 55810
    common.upstream_request_attempt_count = 3
    common.response_flags.upstream_connection_failure = True
    common.response_flags.upstream_retry_limit_exceeded = True
    return entry


def _body(*entries: wire.HttpAccessLogEntry) -> bytes:
    message = wire.StreamAccessLogsMessage(identifier=_identifier())
    message.http_logs.log_entry.extend(entries)
    return message.SerializeToString()


def _read_back(log: dict[str, Any]) -> AccessLogEntry:
    """Return the entry that a reader of the stored record gets."""
    resource = {key: str(value) for key, value in log["resource"].items()}
    entry = entry_from_log(
        LogRecord(
            time_ns=log["time_ns"],
            trace_id=log.get("trace_id", ""),
            span_id=log.get("span_id", ""),
            service=resource.get("service.name", ""),
            body=log.get("body", ""),
            attributes={key: str(value) for key, value in log["attributes"].items()},
            resource=resource,
            event_name=log["event_name"],
        )
    )
    assert entry is not None
    return entry


def test_entry_becomes_a_log_record() -> None:
    """Every fact of an entry is an attribute under the name that the JSON log has."""
    canonical = decode_access_logs(_body(_entry()), NOW_NS)
    (log,) = flat_logs(canonical.message)
    assert log["resource"] == {
        "service.name": "orders.depot",
        "log_name": "mesh",
        "node_name": "sidecar~10.8.1.9~orders-7f9c5d6b8-k2l4m.depot~depot.svc.cluster.local",
        "cluster_name": "orders.depot",
        "zone_name": "zone-b",
    }
    assert log["time_ns"] == START_S * 1_000_000_000 + 250
    assert log["body"] == "POST /stock/17 HTTP/2 503"
    assert log["attributes"] == {
        "method": "POST",
        "path": "/stock/17",
        "protocol": "HTTP/2",
        "scheme": "http",
        "authority": "stock:8080",
        "user_agent": "httpx",
        "request_id": "6f1c1c0a-52a4-9c1e-8b70-3f2a9d1e77b0",
        "bytes_received": 12,
        "bytes_sent": 812,
        "request_headers_bytes": 0,
        "response_headers_bytes": 0,
        "response_code": 503,
        "response_code_details": "via_upstream",
        "response_flags": "UF,URX",
        "upstream_cluster": "outbound|8080||stock.depot.svc.cluster.local",
        "upstream_host": "10.8.3.21:8080",
        "downstream_remote_address": "[fd00::9]:55810",
        "upstream_request_attempt_count": 3,
        "time_to_last_rx_byte_ns": 11_000,
        "time_to_first_upstream_tx_byte_ns": 42_000,
        "time_to_last_upstream_tx_byte_ns": 43_000,
        "time_to_first_upstream_rx_byte_ns": 900_000,
        "time_to_last_upstream_rx_byte_ns": 950_000,
        "time_to_first_downstream_tx_byte_ns": 960_000,
        "time_to_last_downstream_tx_byte_ns": 990_000,
        "duration_ns": 995_000,
    }


def test_record_reads_back_as_evidence() -> None:
    """The record of an entry gives its timings, flags, attempts and both services again."""
    entry = _read_back(*flat_logs(decode_access_logs(_body(_entry()), NOW_NS).message))
    assert (entry.service, entry.peer) == ("orders.depot", "stock.depot.svc.cluster.local")
    assert (entry.direction, entry.flags, entry.attempts) == ("outbound", ("UF", "URX"), 3)
    assert (entry.status, entry.duration_ns, entry.resolution_ns) == (503, 995_000, 1)
    assert (entry.request_ns, entry.request_tx_ns, entry.response_ns) == (11_000, 43_000, 900_000)
    assert entry.first_upstream_tx_ns == 42_000
    assert entry.last_upstream_rx_ns == 950_000
    assert entry.first_downstream_tx_ns == 960_000
    assert (entry.method, entry.path, entry.authority) == ("POST", "/stock/17", "stock:8080")


@pytest.mark.parametrize(
    "headers",
    [
        {b"traceparent": b"00-7c0f3d1e5a9b42688d21e0c4b6f75a13-5be1d40c92a7f386-01"},
        {b"x-b3-traceid": b"7c0f3d1e5a9b42688d21e0c4b6f75a13", b"x-b3-spanid": b"5be1d40c92a7f386"},
        {b"B3": b"7c0f3d1e5a9b42688d21e0c4b6f75a13-5be1d40c92a7f386-1"},
    ],
)
def test_trace_context_of_logged_headers(headers: dict[bytes, bytes]) -> None:
    """A propagation header that is configured to be logged gives the record its trace."""
    entries = [wire.Entry(key=key, value=value) for key, value in headers.items()]
    (log,) = flat_logs(decode_access_logs(_body(_entry(request_headers=entries)), NOW_NS).message)
    assert log["trace_id"] == "7c0f3d1e5a9b42688d21e0c4b6f75a13"
    assert log["span_id"] == "5be1d40c92a7f386"
    assert any(name.startswith("http.request.header.") for name in log["attributes"])


def test_custom_tags_do_not_hide_facts() -> None:
    """A custom tag keeps its name unless a fact has it; a trace id in one is used."""
    entry = _entry()
    entry.common_properties.custom_tags.add(key=b"path", value=b"/fake")
    entry.common_properties.custom_tags.add(key=b"team", value=b"depot")
    entry.common_properties.custom_tags.add(key=b"trace_id", value=b"c3a1f0e96d2b4857")
    (log,) = flat_logs(decode_access_logs(_body(entry), NOW_NS).message)
    assert log["attributes"]["path"] == "/stock/17"
    assert log["attributes"]["custom_tag.path"] == "/fake"
    assert log["attributes"]["team"] == "depot"
    assert log["trace_id"] == "0000000000000000c3a1f0e96d2b4857"


def test_tcp_entry() -> None:
    """A TCP connection is a record without method and status."""
    message = wire.StreamAccessLogsMessage(identifier=_identifier())
    entry = message.tcp_logs.log_entry.add()
    entry.common_properties.start_time.seconds = START_S
    entry.common_properties.upstream_cluster = b"outbound|5432||db.depot.svc.cluster.local"
    entry.common_properties.upstream_remote_address.pipe.path = b"/run/db.sock"
    entry.common_properties.downstream_local_address.envoy_internal_address.CopyFrom(
        wire.InternalAddress(server_listener_name=b"inner", endpoint_id=b"7")
    )
    entry.common_properties.intermediate_log_entry = True
    entry.connection_properties.received_bytes = 5
    (log,) = flat_logs(decode_access_logs(message.SerializeToString(), NOW_NS).message)
    assert log["attributes"] == {
        "protocol": "TCP",
        "bytes_received": 5,
        "bytes_sent": 0,
        "response_flags": "-",
        "upstream_cluster": "outbound|5432||db.depot.svc.cluster.local",
        "upstream_host": "/run/db.sock",
        "downstream_local_address": "envoy://inner/7",
        "intermediate_log_entry": "true",
    }


def test_every_flag_of_the_proto_is_rendered() -> None:
    """Each field of ResponseFlags has its short name, and the table knows all of them."""
    fields = {field.name for field in wire.ResponseFlags.DESCRIPTOR.fields}
    assert fields == set(_FLAGS)
    assert set(_FLAGS.values()) <= set(RESPONSE_FLAGS)
    entry = _entry()
    for name in fields - {"unauthorized_details"}:
        setattr(entry.common_properties.response_flags, name, True)
    entry.common_properties.response_flags.unauthorized_details.reason = 1
    (log,) = flat_logs(decode_access_logs(_body(entry), NOW_NS).message)
    assert set(log["attributes"]["response_flags"].split(",")) == set(_FLAGS.values())


def test_entry_without_a_start_is_rejected_alone() -> None:
    """An entry without its start cannot be placed; the others are taken."""
    empty = wire.HttpAccessLogEntry()
    canonical = decode_access_logs(_body(empty, _entry(), empty), NOW_NS)
    assert (canonical.accepted, canonical.rejected_by) == (1, {"time_missing": 2})


def test_header_that_is_not_utf8_is_repaired() -> None:
    """A Latin-1 path costs its wrong byte."""
    entry = _entry()
    entry.request.path = b"/caf\xe9"
    canonical = decode_access_logs(_body(entry), NOW_NS)
    assert flat_logs(canonical.message)[0]["attributes"]["path"] == "/caf\ufffd"
    assert canonical.repaired == 1


def test_odd_numbers_are_bounded() -> None:
    """Times and counts beyond what can be stored cost nothing but themselves."""
    entry = _entry()
    entry.common_properties.duration.seconds = -5
    entry.common_properties.downstream_wire_bytes_sent = (1 << 64) - 1
    entry.request.request_method = 77
    entry.protocol_version = -1
    (log,) = flat_logs(decode_access_logs(_body(entry), NOW_NS).message)
    assert log["attributes"]["duration_ns"] == 0
    assert log["attributes"]["downstream_wire_bytes_sent"] == (1 << 63) - 1
    assert "method" not in log["attributes"]
    for seconds in (-(1 << 40), 1 << 40):
        entry.common_properties.start_time.seconds = seconds
        assert decode_access_logs(_body(entry), NOW_NS).rejected <= 1


def test_message_that_is_none_is_refused() -> None:
    """Foreign and oversized messages are refused."""
    for body in (b"[]", b"\x12\xff", b"\x12" * 9999):
        with pytest.raises(Undecodable):
            decode_access_logs(body, NOW_NS)
    with pytest.raises(TooLarge):
        decode_access_logs(bytes(3_000_000), NOW_NS)


def test_message_of_empty_entries_is_refused_in_time() -> None:
    """As many empty entries as a message can hold are refused within a second."""
    body = b"\x12" + _varint(2 * 900_000) + b"\x0a\x00" * 900_000
    started = time.thread_time()
    with pytest.raises(Undecodable):
        decode_access_logs(body, NOW_NS)
    assert time.thread_time() - started < 1


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])
