"""Whatever is pasted, the id in it is found, and the likeliest comes first."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.identity.pasted import find_ids

TRACE = "6e0c1d2f3a4b5968778695a4b3c2d1e0"
SPAN = "1f2e3d4c5b6a7980"
UUID = "0c8f7e6d-5b4a-4392-8170-f6e5d4c3b2a1"

ADDRESSES = [
    "http://127.0.0.1:8080/#{}",
    "http://hopline.example/#/requests/{}?tab=spans",
    "https://hopline.example/api/v1/requests/{}/explain?format=markdown",
    "http://jaeger.example:16686/trace/{}?uiFind=" + SPAN,
    "https://zipkin.example/zipkin/traces/{}",
    "https://grafana.example/explore?left=%7B%22queries%22:%5B%7B%22query%22:%22{}%22%7D%5D%7D",
    "https://grafana.example/explore?panes=%257B%2522q%2522%253A%2522{}%2522%257D",
    "https://portal.example/#blade/Details/DataModel/%7B%22eventId%22%3A%22{}%22%7D",
    "https://console.example/cloudwatch/home#logsV2:logs-insights$3FqueryDetail$3D$2522{}$2522",
    "https://console.example/cloudwatch/home#logs$3Fq$3D~(editorString~'filter*20id*3d*22{}*22)",
    "https://kibana.example/app/discover#/?_a=(query:(query:'trace.id:%20%22{}%22'))",
    "https://app.example/apm/trace/{}?spanID=8f3c&timeHint=1772357400000",
    "https://admin:secret1@example.org:8443/a/b/{}.json?x=1#top",
]
LINES = [
    "2026-03-01 09:30:00,123 ERROR [orders,{},1f2e3d4c5b6a7980] payment refused in 40ms",
    'level=error ts=2026-03-01T09:30:00Z trace_id={} msg="no stock"',
    "09:30:00.120 [http-nio-8080-exec-7] WARN  c.s.Orders - traceId: {} spanId: 1f2e3d4c5b6a7980",
    "ApiManagementGatewayLogs | where CorrelationId == '{}' | project TimeGenerated",
    'union * | where * has "{}"',
    '{{app="orders"}} |= "{}" | json',
    "fields @message | filter @message like /{}/",
    "SELECT * FROM otel_traces WHERE TraceId = '{}' AND ServiceName = 'orders2'",
    "curl -H 'X-Request-Id: {}' https://api.shop.example/v1/orders",
    "> x-request-id: {}\r\n< HTTP/1.1 504 Gateway Timeout",
    "| trace | `{}` |",
    "**{}**",
    "[the slow one](https://jaeger.example/trace/{})",
    "&quot;{}&quot;",
    "\u201c{}\u201d",
    "see <{}>, please",
    "hopline explain {} --url http://hopline.example:8080",
    "urn:uuid:{}",
    "{{{}}}",
    "b'{}'",
    "0x{}",
    '"{}",',
    "\ufeff{}\u200b",
]


@pytest.mark.parametrize("pasted", [*ADDRESSES, *LINES])
@pytest.mark.parametrize("written", [TRACE, TRACE.upper(), UUID, "{" + UUID + "}"])
def test_an_id_is_found_in_what_is_around_it(pasted: str, written: str) -> None:
    """Addresses, log lines, queries, headers and markup: the first id is the one that is meant."""
    bare = written.strip("{}")
    assert find_ids(pasted.format(written))[0] == bare


@pytest.mark.parametrize(
    ("pasted", "expected"),
    [
        (f"traceparent: 00-{TRACE}-{SPAN}-01", TRACE),
        (f"Traceparent={'00'}-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01"),
        (f"b3: {TRACE}-{SPAN}-1", TRACE),
        (f"X-B3-TraceId: {TRACE}\nX-B3-SpanId: {SPAN}\nX-B3-Sampled: 1", TRACE),
        (f"uber-trace-id: {TRACE}%3A{SPAN}%3A0%3A1", TRACE),
        (f"X-Amzn-Trace-Id: Root=1-{TRACE[:8]}-{TRACE[8:]};Parent={SPAN};Sampled=1", TRACE),
        (f"the trace is 1-{TRACE[:8]}-{TRACE[8:]}", f"1-{TRACE[:8]}-{TRACE[8:]}"),
        (f"X-Cloud-Trace-Context: {TRACE}/105445;o=1", TRACE),
        (f"Request-Id: |{TRACE}.{SPAN}.", TRACE),
        (
            "x-datadog-trace-id: 8747263843261206496\nx-datadog-tags: _dd.p.tid=6e0c1d2f3a4b5968",
            "6e0c1d2f3a4b5968" + f"{8747263843261206496:016x}",
        ),
        (json.dumps({"ts": 1772357400, "ctx": {"trace_id": TRACE}, "user": "4711aa"}), TRACE),
        (json.dumps({"message": json.dumps({"CorrelationId": UUID})}), UUID),
        (json.dumps({"headers": {"traceparent": f"00-{TRACE}-{SPAN}-00"}}), TRACE),
        ("x-amz-apigw-id: KLmN0pQrStUvWxY=", "KLmN0pQrStUvWxY="),
        (
            "x-apigee-message-id: rrt-0a1b2c3d4e5f60718-b-use1-4521-77-3",
            "rrt-0a1b2c3d4e5f60718-b-use1-4521-77-3",
        ),
        (f"{TRACE[:16]}\n  {TRACE[16:]}", TRACE),
        (UUID.replace("-", "\u2011"), UUID),
        (f"span {SPAN} is slow", SPAN),
    ],
)
def test_every_carrier_is_known_inside_text(pasted: str, expected: str) -> None:
    """Propagation headers, request ids of gateways and ids cut by a line break are read as such."""
    assert find_ids(pasted)[0] == expected


def test_a_named_id_comes_before_others_and_a_span_comes_last() -> None:
    """Of several ids in one line the request's comes first, whatever stands before it."""
    other = "ffeeddccbbaa99887766554433221100"
    found = find_ids(f"user={other} spanId={SPAN} trace_id={TRACE}")
    assert found.index(TRACE) < found.index(other) < found.index(SPAN)


@pytest.mark.parametrize("text", ["", "  ", "nothing here", "GET /orders", "{}", "error: timeout"])
def test_plain_words_hold_no_id(text: str) -> None:
    """A sentence without anything that looks like an id gives none."""
    assert find_ids(text) == ()


@given(st.text(max_size=400) | st.binary(max_size=300).map(lambda raw: raw.decode("latin-1")))
def test_no_text_is_an_error(text: str) -> None:
    """Any text is answered with short texts without white space, each once."""
    found = find_ids(text)
    assert len(found) == len(set(found)) <= 48
    assert all(each and not each.isspace() and "\n" not in each for each in found)


@given(st.text(max_size=80), st.integers(16**31, 16**32 - 1), st.text(max_size=80))
def test_any_surroundings_give_the_id_away(before: str, number: int, after: str) -> None:
    """Between blanks an id is found whatever else is pasted with it."""
    assert f"{number:032x}" in find_ids(f"{before} {number:032x} {after}")


def test_a_long_paste_is_read_in_no_time() -> None:
    """Repeated characters that could send a pattern astray end like any other text."""
    for piece in (
        "a" * 16_384,
        "a-" * 8_000,
        "x=" * 8_000,
        "%25" * 5_000,
        '{"a":' * 3_000,
        "0:" * 8_000,
    ):
        find_ids(piece)


_BYTES = bytes.fromhex(TRACE)


@pytest.mark.parametrize(
    "pasted",
    [
        str(list(_BYTES)),
        "traceId=[" + " ".join(map(str, _BYTES)) + "] sampled",
        "[" + ", ".join(str(byte - 256 if byte > 127 else byte) for byte in _BYTES) + "]",
        f"id={_BYTES!r}",
        'trace_id: "' + "".join(f"\\{byte:03o}" for byte in _BYTES) + '"',
        'trace_id: "'
        + "".join(
            chr(b) if 32 <= b < 127 and b not in (34, 39, 92) else f"\\{b:03o}" for b in _BYTES
        )
        + '"',
    ],
)
def test_bytes_that_a_program_printed_are_an_id(pasted: str) -> None:
    """Go, Java and Python print numbers; protobuf's text form and Python escape what is no text."""
    assert find_ids(pasted)[0] == TRACE


def test_other_numbers_and_quotes_are_no_ids() -> None:
    """Versions, lists of statuses, quoted paths with a backslash."""
    for text in (
        "1.2.3.4 5 6 7", "[200, 404, 500]", str([700] * 16), r"C:\\temp\\x", "'it\\'s 12'"
    ):  # fmt: skip
        assert not any(len(found) == 32 for found in find_ids(text))
