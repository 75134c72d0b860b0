"""reactor-netty's access log behind the layouts that Spring Boot and its users give it."""

import json

import pytest

from collector.decode.gateways import get_adapter

ADAPTER = get_adapter("spring-cloud-gateway")
TRACE, SPAN = "7e" * 16, "c9" * 8
LINE = '10.0.0.1 - - [04/Mar/2026:05:06:07 +0000] "GET /ferries/3 HTTP/1.1" 200 - 33'
LOGGER = "reactor.netty.http.server.AccessLog"


@pytest.mark.parametrize(
    ("before", "trace_id"),
    [
        (f"2026-03-04T05:06:07.089Z  INFO [quay,{TRACE},{SPAN}] 1 --- [http-2] {LOGGER} : ", TRACE),
        (f"2026-03-04 05:06:07.089  INFO [quay,{TRACE},{SPAN},true] 1 --- [t] {LOGGER} : ", TRACE),
        (
            f"2026-03-04T05:06:07.089Z INFO 1 --- [quay] [http-2] [{TRACE}-{SPAN}] {LOGGER} : ",
            TRACE,
        ),
        (f"05:06:07 INFO [{TRACE[:16]},{SPAN}] ", "0" * 16 + TRACE[:16]),
        (f"INFO traceId={TRACE} spanId={SPAN} {LOGGER} - ", TRACE),
        (f"INFO trace_id: {TRACE.upper()}, span_id: {SPAN} - ", TRACE),
        (f"2026-03-04T05:06:07.089Z  INFO [quay,,] 1 --- [http-2] {LOGGER} : ", ""),
        (f"2026-03-04T05:06:07.089Z  INFO 1 --- [http-2] {LOGGER} : ", ""),
        ("", ""),
    ],
    ids=["boot-3", "sleuth", "boot-3.2", "64-bit", "own", "own-2", "empty", "none", "bare"],
)
def test_the_layout_before_a_line_gives_the_trace(before: str, trace_id: str) -> None:
    """`[app,trace,span]`, `[trace-span]` and names of one's own are found."""
    decoded = ADAPTER.decode((before + LINE).encode())
    (record,) = decoded.records
    assert (record.path, record.duration_ns) == ("/ferries/3", 33_000_000)
    assert record.trace_id == trace_id
    assert record.outgoing_span_id == (SPAN if trace_id else "")


def test_a_header_that_is_logged_wins_over_the_layout() -> None:
    """What was sent on says more than what the logger's thread had."""
    line = f"INFO [quay,{'1a' * 16},{'2b' * 8}] {LINE} 00-{TRACE}-{SPAN}-01"
    (record,) = ADAPTER.decode(line.encode()).records
    assert (record.trace_id, record.trace_id_source) == (TRACE, "traceparent")


def test_one_line_has_one_id_whatever_stands_before_it() -> None:
    """Console, structured logging and a shipper tell of the same request."""
    structured = {"@timestamp": "t", "log.logger": LOGGER, "message": LINE, "traceId": TRACE}
    shipped = {"log": f"INFO [quay,{TRACE},{SPAN}] {LINE}\n", "stream": "stdout"}
    records = [
        ADAPTER.decode(body.encode()).records[0]
        for body in (LINE, json.dumps(structured), json.dumps(shipped))
    ]
    assert len({record.record_id for record in records}) == 1
    assert [record.trace_id for record in records] == ["", TRACE, TRACE]
