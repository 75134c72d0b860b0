"""Formats of nginx's access log that people really have, as JSON and as text."""

import json
from typing import Any

import pytest

from collector.decode.gateways import get_adapter
from collector.model import GatewayRecord

ADAPTER = get_adapter("ingress-nginx")
ID = "9b1f0c2d3e4f50617283940a1b2c3d4e"
TRACE, SPAN = "6d" * 16, "b8" * 8
END_NS = 1_772_600_767_000_000_000
CLF = "04/Mar/2026:05:06:07 +0000"
ISO = "2026-03-04T05:06:07+00:00"
MS = 1_000_000


def _one(body: Any) -> GatewayRecord:
    text = body if isinstance(body, str) else json.dumps(body)
    decoded = ADAPTER.decode(text.encode())
    assert not decoded.rejected, decoded.rejected
    (record,) = decoded.records
    return record


HEAD = f'10.2.0.5 - - [{CLF}] "GET /plots/7?x=1 HTTP/1.1" 200 612 "-" "spade/1.0"'


@pytest.mark.parametrize(
    ("line", "request_id", "duration_ms", "backend_ms"),
    [
        (f"{HEAD} 350 0.023 [farm-plots-80] [] 10.1.0.3:80 612 0.020 200 {ID}", ID, 23, 20),
        (f"{HEAD} 350 0.023 [farm-plots-80] 10.1.0.3:80 612 0.020 200 {ID}", ID, 23, 20),
        (f"{HEAD} 350 0.023 [farm-plots-80] 10.1.0.3:80 612 0.020 200", "", 23, 20),
        (
            HEAD.replace("- - [", "- [203.0.113.9] - - [")
            + f" 350 0.023 [farm-plots-80] 10.1.0.3:80 612 0.020 200 {ID}",
            ID,
            23,
            20,
        ),
        (f'{HEAD} rt=0.023 uct="0.001" uht="0.019" urt="0.020"', "", 23, 20),
        (f'{HEAD} "203.0.113.9" 0.023 0.020', "", 23, 20),
        (f'{HEAD} "203.0.113.9" "0.023" "0.009, 0.011"', "", 23, 20),
        (f'{HEAD} request_id="{ID}" request_time=0.023 upstream_response_time=0.020', ID, 23, 20),
        (f'{HEAD} kong_request_id: "{ID}"', "", None, None),
        (HEAD, "", None, None),
    ],
    ids=[
        "default",
        "0.24",
        "0.15",
        "real-ip",
        "nginx-docs",
        "times",
        "lists",
        "named",
        "kong",
        "-",
    ],
)
def test_text_formats_begin_like_the_combined_one(
    line: str, request_id: str, duration_ms: int | None, backend_ms: int | None
) -> None:
    """ingress-nginx of several versions, nginx's own documents, and what people append."""
    record = _one(line)
    assert (record.method, record.path, record.status) == ("GET", "/plots/7", 200)
    assert record.record_id == request_id or record.record_id.startswith("~")
    assert record.duration_ns == (None if duration_ms is None else duration_ms * MS)
    assert record.backend_ns == (None if backend_ms is None else backend_ms * MS)
    assert record.start_ns == END_NS - (record.duration_ns or 0)
    assert record.attributes["user_agent.original"] == "spade/1.0"


def test_a_line_that_is_cut_off_is_no_combined_one() -> None:
    """Half an ingress line would else be read with half its facts."""
    line = f"{HEAD} 350 0.023 [farm-plots-80] [] 10.1.0.3:80 612"
    (error,) = ADAPTER.decode(line.encode()).rejected
    assert error.field == "upstream_addr"
    assert ADAPTER.decode(f"{HEAD} 350 0.023 [farm-pl".encode()).rejected


@pytest.mark.parametrize(
    ("key", "value", "start_ns"),
    [
        ("time", ISO, END_NS),
        ("@timestamp", ISO, END_NS),
        ("time_iso8601", ISO, END_NS),
        ("time_local", CLF, END_NS),
        ("msec", "1772600767.250", END_NS + 250 * MS),
        ("time_msec", 1772600767.25, END_NS + 250 * MS),
        ("timestamp_in_ms", "1772600767.250", END_NS + 250 * MS),
        ("time_str", ISO, END_NS),
        ("timestamp", ISO, END_NS),
    ],
)
def test_the_moment_of_logging_has_many_names(key: str, value: Any, start_ns: int) -> None:
    """$time_iso8601, $time_local and $msec under whatever name are the end of the request."""
    record = _one({key: value, "request_time": "0.000", "status": 200, "method": "GET"})
    assert record.start_ns == start_ns


def test_the_exact_moment_wins() -> None:
    """With $msec beside a time to the second, the start is known to the ms."""
    row = {"time": ISO, "msec": "1772600767.250", "request_time": 0.1, "status": 200}
    assert _one(row).start_ns == END_NS + 150 * MS


JSON_FORMATS = {
    "documented": {
        "time": ISO,
        "remote_addr": "203.0.113.9",
        "request_id": ID,
        "request_time": 0.023,
        "status": 200,
        "vhost": "farm.example",
        "path": "/plots/7",
        "request_query": "x=1",
        "request_length": 350,
        "method": "GET",
        "http_user_agent": "spade/1.0",
    },
    "google's": {
        "timestamp": ISO,
        "requestID": ID,
        "proxyUpstreamName": "farm-plots-80",
        "upstreamAddr": "10.1.0.3:80",
        "upstreamStatus": "200",
        "httpRequest": {
            "requestMethod": "GET",
            "requestUrl": "farm.example/plots/7?x=1",
            "status": 200,
            "requestSize": "350",
            "userAgent": "spade/1.0",
            "remoteIp": "203.0.113.9",
            "latency": "0.023 s",
        },
    },
    "http-words": {
        "time_iso": ISO,
        "server_host": "farm.example",
        "client_addr": "203.0.113.9",
        "http_request_method": "GET",
        "http_request_uri": "/plots/7?x=1",
        "http_request_length": "350",
        "http_request_time": "0.023",
        "http_status": "200",
        "req_id": ID,
        "http_user_agent": "spade/1.0",
    },
    "filebeat": {
        "@timestamp": ISO,
        "http": {"request": {"method": "GET"}, "response": {"status_code": 200}},
        "url": {"original": "/plots/7?x=1", "domain": "farm.example"},
        "source": {"ip": "203.0.113.9"},
        "user_agent": {"original": "spade/1.0"},
        "nginx": {
            "ingress_controller": {
                "http": {"request": {"id": ID, "length": 350, "time": 0.023}},
                "upstream": {"ip": "10.1.0.3", "response": {"time": 0.02}},
            }
        },
    },
    "camel": {
        "time": ISO,
        "host": "farm.example",
        "remoteAddr": "203.0.113.9",
        "requestId": ID,
        "requestTime": "0.023",
        "requestLength": "350",
        "status": "200",
        "request": "GET /plots/7?x=1 HTTP/1.1",
        "httpUserAgent": "spade/1.0",
    },
}


@pytest.mark.parametrize("name", JSON_FORMATS)
def test_json_formats_differ_in_their_names_only(name: str) -> None:
    """The documented format, Google's nested one, Filebeat's, and hand-made ones say the same."""
    record = _one(JSON_FORMATS[name])
    assert (record.method, record.path, record.status) == ("GET", "/plots/7", 200)
    assert (record.duration_ns, record.record_id) == (23 * MS, ID)
    assert (record.client_address, record.request_bytes) == ("203.0.113.9", 350)
    assert record.attributes["user_agent.original"] == "spade/1.0"
    assert record.attributes["url.query"] == "x=1"


def test_a_logged_header_gives_the_trace() -> None:
    """`$http_traceparent` is what the client sent, and what nginx passes on."""
    header = f"00-{TRACE}-{SPAN}-01"
    record = _one({"time": ISO, "request_time": 0.1, "status": 200, "http_traceparent": header})
    assert (record.trace_id, record.trace_id_source) == (TRACE, "http_traceparent")


@pytest.mark.parametrize(
    ("status", "body_bytes", "upstream", "backend_status", "source"),
    [
        (504, 160, "10.1.0.3:80 0 30.001 504", None, "gateway"),
        (502, 150, "10.1.0.3:80, 10.1.0.4:80 0, 0 0.001, 0.001 502, 502", None, "gateway"),
        (504, 24, "10.1.0.3:80 24 30.001 504", 504, "backend"),
        (504, 0, "10.1.0.3:80 0 30.001 504", 504, "backend"),
        (503, 190, "10.1.0.3:80 0 0.004 503", 503, "backend"),
        (200, 612, "10.1.0.3:80, 10.1.0.4:80 0, 612 0.500, 0.020 504, 200", 200, ""),
        (499, 0, "10.1.0.3:80 0 4.000 499", None, "client"),
    ],
)
def test_the_default_format_tells_whether_upstream_answered(
    status: int, body_bytes: int, upstream: str, backend_status: int | None, source: str
) -> None:
    """Nothing came from upstream and a page was sent: it is nginx's own, whatever its status."""
    head = HEAD.replace("200 612", f"{status} {body_bytes}")
    record = _one(f"{head} 350 30.002 [farm-plots-80] [] {upstream} {ID}")
    assert (record.status, record.backend_status) == (status, backend_status)
    assert record.error_source == source


def test_ids_of_gateways_before_it_are_kept() -> None:
    """A format that logs another gateway's header joins the two."""
    row = {"time": ISO, "request_time": 0.1, "status": 200, "request_id": ID, "verb": "PUT"}
    sent = {"http_x_appgw_trace_id": "5f6e7d8c9bafbec0d1e2f30415263748", "http_x_azure_ref": "-"}
    record = _one({**row, **sent, "correlation_id": "corr-31-x"})
    assert record.method == "PUT"
    assert [(each.kind, each.value) for each in record.ids] == [
        ("x_request_id", ID),
        ("correlation_id", "corr-31-x"),
        ("tracking_id", "5f6e7d8c9bafbec0d1e2f30415263748"),
    ]
