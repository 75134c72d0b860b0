"""What strangers paste when they are asked for an id, and the key that finds their request."""

import base64
import json
import re
from urllib.parse import quote

import pytest

from collector.query.timelines.resolve import read_ids

TRACE_ID = re.compile("[0-9a-f]{32}")
TRACE = "6e0c1d2f3a4b5968778695a4b3c2d1e0"
LOW = TRACE[16:]
HALF = "0" * 16 + LOW
SPAN = "1f2e3d4c5b6a7980"
UUID = "0c8f7e6d-5b4a-4392-8170-f6e5d4c3b2a1"
UUID_KEY = "0c8f7e6d5b4a*3928170f6e5d4c3b2a1"
XRAY = f"1-{TRACE[:8]}-{TRACE[8:]}"
PARENT = f"00-{TRACE}-{SPAN}-01"
WORDS = "-".join(TRACE[at : at + 8] for at in range(0, 32, 8))
BYTES = [TRACE[at : at + 2] for at in range(0, 32, 2)]
GUID = f"{TRACE[:8]}-{TRACE[8:12]}-{TRACE[12:16]}-{TRACE[16:20]}-{TRACE[20:]}"
DECIMAL = str(int(TRACE, 16))
DECIMAL_LOW = str(int(LOW, 16))
DECIMAL_SPAN = str(int(SPAN, 16))
BASE64 = base64.b64encode(bytes.fromhex(TRACE)).decode()
BASE64_SPAN = base64.b64encode(bytes.fromhex(SPAN)).decode()
SEGMENT = "a5f2c3b1d4e64f7a8b9c0d1e2f3a4b5c.61.17723574001230001"


def _sw8(trace: str) -> str:
    parts = (trace, f"{trace}0", "orders", "pod@10.0.0.1", "/orders", "10.0.0.2:80")
    first, second, *rest = (base64.b64encode(part.encode()).decode() for part in parts)
    return "-".join(("1", first, second, "3", *rest))


TRACES = {
    # Datadog writes decimal numbers
    DECIMAL: TRACE,
    DECIMAL_LOW: HALF,
    f"dd.trace_id={DECIMAL} dd.span_id={DECIMAL_SPAN}": TRACE,
    f"ERROR [dd.service=a dd.trace_id={DECIMAL_LOW} dd.span_id={DECIMAL_SPAN}] no stock": HALF,
    json.dumps({"dd": {"trace_id": DECIMAL_LOW, "span_id": DECIMAL_SPAN}}): HALF,
    json.dumps({"dd.trace_id": int(DECIMAL_LOW), "message": "no stock"}): HALF,
    f"https://apm.example/traces?query=%40trace_id%3A{DECIMAL}": TRACE,
    # W3C, also as nobody should write it
    f"ff-{TRACE}-{SPAN}-01": TRACE,
    f"01-{TRACE}-{SPAN}-01-what-a-later-version-adds": TRACE,
    f"{PARENT}-more": TRACE,
    PARENT.upper(): TRACE,
    f"00-{TRACE}-{SPAN}": TRACE,
    f"00-{TRACE}-{'0' * 16}-01": TRACE,
    f"traceparent=[{PARENT}]": TRACE,
    f"traceresponse: {PARENT}": TRACE,
    f"elastic-apm-traceparent: {PARENT}": TRACE,
    f'Server-Timing: traceparent;desc="{PARENT}"': TRACE,
    f'<meta name="traceparent" content="{PARENT}">': TRACE,
    f"SELECT 1 /*db_driver='x',traceparent='{PARENT}'*/": TRACE,
    json.dumps({"status": 500, "title": "Error", "traceId": PARENT}): TRACE,
    f"Activity.Id: {PARENT}": TRACE,
    # the digits in other groups, other letters, other places
    GUID: TRACE,
    "{" + GUID.upper() + "}": TRACE,
    WORDS: TRACE,
    WORDS.replace("-", " "): TRACE,
    ":".join(BYTES): TRACE,
    " ".join(BYTES): TRACE,
    f"id {'-'.join(BYTES)} seen": TRACE,
    'trace_id: "' + "".join(f"\\x{byte}" for byte in BYTES) + '"': TRACE,
    f"0x{TRACE}": TRACE,
    f"0X{TRACE.upper()}": TRACE,
    f"trace.TraceID{{0x{TRACE}}}": TRACE,
    f"traceId{TRACE}": TRACE,
    f"x-dynatrace: FW4;1;2;3;abcd;2h01;3h{TRACE};": TRACE,
    f"\x1b[32m{TRACE}\x1b[0m": TRACE,
    f"\x1b[1mtrace_id\x1b[0m=\x1b[36m{TRACE}\x1b[0m msg=x": TRACE,
    f"<https://jaeger.example/trace/{TRACE}|the trace>": TRACE,
    f"/var/dumps/{TRACE}.json": TRACE,
    f"2026-03-01,orders,{TRACE},504": TRACE,
    f":trace_id=>'{TRACE}'": TRACE,
    # B3, Jaeger, X-Ray, Google, SkyWalking, Sentry, Sleuth
    f"b3={TRACE}-{SPAN}-1": TRACE,
    f"{TRACE}-{SPAN}-1-05e3ac9a4f6e3b90": TRACE,
    f"{LOW}-{SPAN}-1": HALF,
    f"b3: {LOW}-{SPAN}-d": HALF,
    f"X-B3-TraceId={LOW} X-B3-SpanId={SPAN}": HALF,
    f"[orders,{LOW},{SPAN},true]": HALF,
    f"[orders] [nio-8080-exec-1] [{TRACE}-{SPAN}] c.s.Orders : no stock": TRACE,
    quote(f"{TRACE}:{SPAN}:0:1", safe=""): TRACE,
    f"{LOW.lstrip('0')}:{SPAN}:0:1": HALF,
    f"Cookie: uber-trace-id={TRACE}%3A{SPAN}%3A0%3A1; a=b": TRACE,
    f"ot-tracer-traceid: {LOW}\not-tracer-spanid: {SPAN}": HALF,
    f"Self=1-67891234-12456789abcdef0123456789;Root={XRAY}": TRACE,
    f"{XRAY}@{SPAN}": TRACE,
    f"@xrayTraceId = '{XRAY}'": TRACE,
    f"https://console.example/cloudwatch/home?region=eu-west-1#xray:traces/{XRAY}": TRACE,
    f"{TRACE}/{DECIMAL_SPAN};o=1": TRACE,
    f"X-Cloud-Trace-Context: {TRACE}": TRACE,
    f"projects/shop-prod-7/traces/{TRACE}": TRACE,
    json.dumps({"logging.googleapis.com/trace": f"projects/shop/traces/{TRACE}"}): TRACE,
    f"https://console.example/traces/list?project=p1&tid={TRACE}": TRACE,
    f"sw8: {_sw8(TRACE)}": TRACE,
    f"sentry-trace: {TRACE}-{SPAN}": TRACE,
    f"baggage: sentry-trace_id={TRACE},sentry-environment=prod": TRACE,
    # Application Insights
    f"|{TRACE}.{SPAN}_1.2#": TRACE,
    f"<{TRACE}.{SPAN}>": TRACE,
    f'requests | where operation_Id == "{TRACE}"': TRACE,
    # OTLP as JSON: hexadecimal by the specification, base64 by protobuf's own rules
    json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": TRACE}]}]}]}): TRACE,
    json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": BASE64}]}]}]}): TRACE,
    BASE64: TRACE,
    BASE64.rstrip("="): TRACE,
    BASE64.replace("/", "_").replace("+", "-"): TRACE,
    json.dumps({"traceId": BASE64.rstrip("=")}): TRACE,
    f"https://tempo.example/api/traces/{quote(BASE64, safe='')}": TRACE,
}
OTHERS = {
    _sw8(SEGMENT): SEGMENT,
    f"[TID:{SEGMENT}] no stock": SEGMENT,
    f"[SW_CTX:[orders,pod1,{SEGMENT},seg.1.2,0]]": SEGMENT,
    SPAN: SPAN,
    f"0x{SPAN.upper()}": SPAN,
    DECIMAL_SPAN: SPAN,
    BASE64_SPAN: SPAN,
    f'"spanId":"{BASE64_SPAN}"': SPAN,
    "|a1B2c3D4e5F6.1a2b_3c.": "a1b2c3d4e5f6",
    "x-amz-apigw-id: K/mN0pQrStUv+xY=": "k/mn0pqrstuv+xy=",
    "K%2FmN0pQrStUv%2BxY%3D": "k/mn0pqrstuv+xy=",
    "Method completed with status: 504 (KLmN0pQr_tUvW-Y=)": "klmn0pqr_tuvw-y=",
    f"({UUID}) Execution failed due to a timeout error": UUID_KEY,
    f'ApiManagementGatewayLogs | where CorrelationId in ("{UUID}")': UUID_KEY,
    f'{{ "statusCode": 500, "message": "Internal error", "activityId": "{UUID}" }}': UUID_KEY,
    f"<CorrelationId>{UUID}</CorrelationId>": UUID_KEY,
    f"x-ms-request-id: {UUID}\nx-ms-correlation-request-id: {UUID}": UUID_KEY,
    f'heroku[router]: at=info method=GET path="/" request_id={UUID} fwd="10.1.2.3"': UUID_KEY,
    "<Error><Code>x</Code><RequestId>4442587FB7D0A2F9</RequestId></Error>": "4442587fb7d0a2f9",
    "cf-ray: 8f2e1a3b4c5d6e7f-AMS": "8f2e1a3b4c5d6e7f-ams",
    json.dumps({"title": "Error", "traceId": "0HMVD33IIJRFR:00000001"}): "0hmvd33iijrfr:00000001",
    "01J9Z3K4M5N6P7Q8R9S0T1V2W3": "01j9z3k4m5n6p7q8r9s0t1v2w3",
    "request id 2Dk3hQmXo9cZb7YtU1rWvPq5sNa": "2dk3hqmxo9czb7ytu1rwvpq5sna",
    "request_id=web-7f9c/Ab12Cd34Ef-000117": "web-7f9c/ab12cd34ef-000117",
    "6e0c1d": "6e0c1d",
    "6e0c1d2f3a4b\u2026": "6e0c1d2f3a4b",
}


@pytest.mark.parametrize(("pasted", "trace_id"), TRACES.items())
def test_the_first_trace_id_is_the_one_that_is_meant(pasted: str, trace_id: str) -> None:
    """In whatever notation a trace id comes, no other trace is looked up before it."""
    traces = ([key for key in asked.keys if TRACE_ID.fullmatch(key)] for asked in read_ids(pasted))
    assert trace_id in next(filter(None, traces))  # digits alone may be decimal or hexadecimal


@pytest.mark.parametrize(("pasted", "key"), OTHERS.items())
def test_ids_of_spans_and_gateways_have_their_key(pasted: str, key: str) -> None:
    """A span's id, a gateway's request id and the beginning of an id are looked up as written."""
    assert key in {key for asked in read_ids(pasted) for key in asked.keys}
