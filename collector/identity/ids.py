"""
Ids of every carrier, brought to one form each.

A trace id is 32 lower-case hex digits, a span id 16, and "" means that the text holds none. Nothing
here raises on input: garbage gives "" or `None`.

Source: W3C Trace Context level 1; openzipkin/b3-propagation; jaegertracing.io client-libraries
(propagation format); AWS X-Ray PutTraceSegments; dotnet/runtime HierarchicalRequestId.md;
envoyproxy/envoy extensions/request_id/uuid/config.h (the version nibble that Envoy rewrites).
"""

import base64
import binascii
import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import unquote

import orjson

_HEX = re.compile(r"[0-9a-f]+", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)
_HEX_32 = re.compile(r"[0-9a-f]{32}", re.ASCII)
_XRAY = re.compile(r"1-([0-9a-f]{8})-([0-9a-f]{24})", re.ASCII)
_TRACEPARENT = re.compile(
    r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII | re.DOTALL
)
_DECIMAL = re.compile(r"[0-9]{1,39}", re.ASCII)
_BASE64_128_BIT = re.compile(r"[A-Za-z0-9+/_-]{22}==", re.ASCII)
_BASE64_BARE = re.compile(r"[A-Za-z0-9+/_-]{22}|[A-Za-z0-9+/_-]{11}=", re.ASCII)
# API Gateway's extended ids: 11 bytes.
_UNPADDED = re.compile(r"[A-Za-z0-9+/_-]{15}", re.ASCII)
_ID_PREFIX = re.compile(r"[0-9a-z][0-9a-z_.:+/=|]{5,127}", re.ASCII)
_MISSING = frozenset({"", "-", "none", "null", "undefined", "nan"})
# No carrier is longer than a few hundred characters; a megabyte header is not worth reading.
_MAX_LENGTH = 2048
# The version digit of a UUID, dashes removed: Envoy overwrites it with its sampling decision.
_NIBBLE = 12

REQUEST_ID_HEADERS: Mapping[str, str] = {
    "x-request-id": "x_request_id",
    "x-correlation-id": "correlation_id",
    "x-ms-correlation-id": "correlation_id",
    "apim-request-id": "apim_correlation_id",
    "x-kong-request-id": "kong_request_id",
    "x-amzn-requestid": "aws_request_id",
    "x-amz-apigw-id": "aws_extended_request_id",
    "x-apigee-message-id": "apigee_message_id",
    "x-amzn-trace-id": "xray_trace_id",
    "request-id": "request_id",
    "x-appgw-trace-id": "tracking_id",
    "x-azure-ref": "tracking_id",
}
"""Header (lower case) to `Id.kind`, in the order in which their ids are listed."""

# `x-amzn-trace-id` and `request-id` carry traces: their spans lie in the trace itself.
_INDEXED_HEADERS = tuple(
    name for name in REQUEST_ID_HEADERS if name not in ("x-amzn-trace-id", "request-id")
)
REQUEST_ID_ATTRIBUTES = (
    "guid:x-request-id",
    # libraries of before the conventions' final form write underscores
    *(
        f"http.request.header.{spelling}"
        for name in _INDEXED_HEADERS
        for spelling in (name, name.replace("-", "_"))
    ),
    "x-appgw-trace-id",
    "kong.request.id",
    "x-request-id",
    "x_request_id",
    "request_id",
    "request.id",
    "correlation_id",
    "correlation.id",
    "aws.request_id",
    "aws.extended_request_id",
    "apim.request_id",
    "faas.invocation_id",
    "faas.execution",
)
"""
Attributes of spans that hold a request id, likeliest first; the id index keeps some of them
(`store/macros/ids.sql`).
"""

_REQUEST_ID_NAMES = frozenset(REQUEST_ID_ATTRIBUTES)


@dataclass(frozen=True, slots=True)
class TraceContext:
    """
    What one propagation header says.

    `span_id` is the sender's span, the parent of whoever receives the header. `is_64bit`: the
    sender had 64 bits only, the rest is padding. `is_parent_invalid`: the parent was all zeros or
    no id at all, so a receiver that follows the specification ignores the header. `is_legacy`: the
    trace id was made from a GUID that nobody called a trace id.
    """

    trace_id: str
    span_id: str
    is_sampled: bool | None
    carrier: str
    is_64bit: bool = False
    is_parent_invalid: bool = False
    is_legacy: bool = False


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to look up an id that somebody holds: the key to search, the rule that gave it."""

    key: str
    rule: str


def normalise_trace_id(text: str) -> str:
    """
    Return the 32-digit form of a trace id written in any unambiguous way, or "".

    Hex of up to 32 digits is padded on the left, dashes of a UUID and of an X-Ray id are removed,
    and 16 bytes in base64 (Tempo, Kiali) are read.
    """
    stripped = _strip(text)
    lower = stripped.lower()
    if _HEX.fullmatch(lower):
        return _padded(lower, 32)
    if _UUID.fullmatch(lower):
        return _padded(lower.replace("-", ""), 32)
    if match := _XRAY.fullmatch(lower.removeprefix("root=")):
        return _padded(match[1] + match[2], 32)
    if _BASE64_128_BIT.fullmatch(stripped):
        return _padded(_base64_hex(stripped), 32)
    return ""


def normalise_span_id(text: str) -> str:
    """Return the 16-digit form of a hexadecimal span id, or ""."""
    lower = _strip(text).lower()
    return _padded(lower, 16) if _HEX.fullmatch(lower) else ""


def is_64bit(trace_id: str) -> bool:
    """Tell whether a canonical trace id carries 64 bits only: its upper half is padding."""
    return len(trace_id) == 32 and trace_id.startswith("0" * 16)


def low_64(trace_id: str) -> str:
    """Return the lower half of a canonical trace id, all that a 64-bit system keeps of it."""
    return trace_id[-16:] if len(trace_id) == 32 else ""


def request_id_key(text: str) -> str:
    """
    Return the form in which two request ids are compared, or "" when the text is no id.

    A UUID, with or without dashes, loses its dashes and has its version digit masked by `*`: Envoy
    rewrites that digit (4 not traced, 9 sampled, a and b forced), so the same request carries two
    spellings. Anything else is compared in lower case.
    """
    lower = _strip(text).lower()
    if lower in _MISSING:
        return ""
    if _UUID.fullmatch(lower):
        lower = lower.replace("-", "")
    if _HEX_32.fullmatch(lower):
        return "" if not lower.strip("0") else f"{lower[:_NIBBLE]}*{lower[_NIBBLE + 1 :]}"
    return lower


def prefix_key(text: str) -> str:
    """
    Return the form in which the beginning of an id is compared with ids, "" when it cannot be one.

    Six characters and a digit among them are needed; dashes and case make no difference.
    """
    lower = text.strip().lower().replace("-", "")
    return lower if _ID_PREFIX.fullmatch(lower) and any(c.isdigit() for c in lower) else ""


def has_request_id(attributes: Mapping[str, str]) -> bool:
    """Tell whether `read_request_ids` may find anything in the attributes of a span."""
    return not _REQUEST_ID_NAMES.isdisjoint(attributes)


def read_request_ids(attributes: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the request ids that a span carries, each with its attribute, likeliest first."""
    for name in REQUEST_ID_ATTRIBUTES:
        text = attributes.get(name)
        if text:
            for value in _listed(text):
                yield name, value


def _listed(text: str) -> Sequence[str]:
    """Return the values of a header: the conventions have them as a list, `["…"]` as text."""
    if text.startswith('["'):
        # orjson has no text that is none, no depth and no number that it would stumble over.
        with contextlib.suppress(orjson.JSONDecodeError):
            return [value for value in orjson.loads(text) if isinstance(value, str)]
    return (text,)


def parse_traceparent(text: str) -> TraceContext | None:
    """
    Read a W3C `traceparent`; upper case is tolerated because some loggers change it.

    A zero parent keeps the trace id and is marked: the widespread
    `00-{context.RequestId:N}-0000000000000000-01` recipe writes exactly that.
    """
    match = _TRACEPARENT.fullmatch(_strip(text).lower())
    if not match or match[1] == "ff" or (match[1] == "00" and match[5]):
        return None
    context = _context(match[2], match[3], "traceparent")
    return context and replace(context, is_sampled=bool(int(match[4], 16) & 1))


def parse_b3(text: str) -> TraceContext | None:
    """Read a single `b3` header. A lone sampling decision (`0`, `1`, `d`) has no ids: `None`."""
    parts = _strip(text).lower().split("-")
    if not 2 <= len(parts) <= 4 or len(parts[0]) not in (16, 32):
        return None
    sampled = {"1": True, "d": True, "0": False}.get(parts[2]) if len(parts) > 2 else None
    context = _context(parts[0], parts[1], "b3")
    return context and replace(context, is_sampled=sampled)


def parse_b3_multi(headers: Mapping[str, str]) -> TraceContext | None:
    """Read `X-B3-*`; *headers* have lower-case names. `X-B3-Flags: 1` is debug, so sampled."""
    trace = _strip(headers.get("x-b3-traceid", "")).lower()
    if len(trace) not in (16, 32):
        return None
    sampled_text = _strip(headers.get("x-b3-sampled", "")).lower()
    sampled = {"1": True, "true": True, "0": False, "false": False}.get(sampled_text)
    if _strip(headers.get("x-b3-flags", "")) == "1":
        sampled = True
    context = _context(trace, headers.get("x-b3-spanid", ""), "x-b3")
    return context and replace(context, is_sampled=sampled)


def parse_uber(text: str) -> TraceContext | None:
    """Read Jaeger's `uber-trace-id`, also URL-encoded. Its trace id may lack leading zeros."""
    parts = unquote(_strip(text)).lower().split(":")
    if len(parts) != 4 or not _HEX.fullmatch(parts[3]):
        return None
    context = _context(parts[0], parts[1], "uber-trace-id")
    return context and replace(context, is_sampled=bool(int(parts[3][-2:], 16) & 1))


def parse_xray(text: str) -> TraceContext | None:
    """Read `X-Amzn-Trace-Id` with its `Root`, `Parent` and `Sampled`, or a bare X-Ray id."""
    fields: dict[str, str] = {}
    for part in _strip(text).split(";"):
        name, is_pair, value = part.partition("=")
        fields[name.strip().lower() if is_pair else "root"] = (value if is_pair else name).strip()
    match = _XRAY.fullmatch(fields.get("root", "").lower())
    if not match:
        return None
    context = _context(match[1] + match[2], fields.get("parent", ""), "x-amzn-trace-id")
    sampled = {"1": True, "0": False}.get(fields.get("sampled", ""))
    # Load balancers send Root alone: no parent is the normal form there, not a broken one.
    is_broken = "parent" in fields and context is not None and not context.span_id
    return context and replace(context, is_sampled=sampled, is_parent_invalid=is_broken)


def parse_request_id(text: str) -> TraceContext | None:
    """
    Read a hierarchical .NET `Request-Id` (`|root.local.`) whose root can be a trace id.

    `|<32 hex>.<16 hex>.` is how API Management and Application Insights write a W3C context; a GUID
    as root is legacy. Any other root is no trace id: `request_id_root` gives it as text.
    """
    stripped = _strip(text).lower()
    if not stripped.startswith("|"):
        return None
    root, *locals_ = re.split(r"[._#]", stripped[1:])
    is_guid = bool(_UUID.fullmatch(root))
    digits = root.replace("-", "") if is_guid else root
    if not _HEX_32.fullmatch(digits):
        return None
    span = locals_[0] if locals_ and len(locals_[0]) == 16 else ""
    context = _context(digits, span, "request-id")
    return context and replace(context, is_legacy=is_guid, is_parent_invalid=False)


def request_id_root(text: str) -> str:
    """Return the root of a hierarchical `Request-Id` in lower case, or "" when it is flat."""
    stripped = _strip(text).lower()
    return stripped[1:].split(".", 1)[0] if stripped.startswith("|") else ""


def parse_cloud_trace(text: str) -> TraceContext | None:
    """Read `X-Cloud-Trace-Context`: 32 hex, a decimal span id, and `o=1` when traced."""
    trace, _, rest = _strip(text).lower().partition("/")
    span, _, options = rest.partition(";")
    if not rest or not _HEX_32.fullmatch(trace):
        return None
    sampled = {"o=1": True, "o=0": False}.get(options.strip())
    context = _context(trace, hex_from_decimal(span), "x-cloud-trace-context")
    return context and replace(context, is_sampled=sampled, is_parent_invalid=False)


def parse_datadog(headers: Mapping[str, str]) -> TraceContext | None:
    """Read `x-datadog-*` (lower-case names); `_dd.p.tid` in the tags holds the upper half."""
    low = hex_from_decimal(headers.get("x-datadog-trace-id", ""))
    if not low:
        return None
    high = ""
    for tag in _strip(headers.get("x-datadog-tags", "")).lower().split(","):
        name, _, value = tag.strip().partition("=")
        if name == "_dd.p.tid" and len(value) == 16 and _HEX.fullmatch(value):
            high = value
    parent = hex_from_decimal(headers.get("x-datadog-parent-id", ""))
    priority = _strip(headers.get("x-datadog-sampling-priority", ""))
    sampled = {"-1": False, "0": False, "1": True, "2": True}.get(priority)
    context = _context(high + low, parent, "x-datadog-trace-id")
    return context and replace(context, is_sampled=sampled)


def sw8_trace_id(text: str) -> str:
    """Return the trace id in SkyWalking's `sw8` header as its sender wrote it, or ""."""
    parts = _strip(text).split("-")
    if len(parts) != 8 or parts[0] not in ("0", "1"):
        return ""
    return _base64_bytes(parts[1]).decode(errors="replace")


def parse_grpc_trace_bin(value: str | bytes) -> TraceContext | None:
    """Read OpenCensus' binary context (raw, or base64 as it stands in a gRPC header)."""
    data = value if isinstance(value, bytes) else _base64_bytes(_strip(value))
    if len(data) < 18 or data[0] != 0 or data[1] != 0:
        return None
    span = data[19:27].hex() if len(data) >= 27 and data[18] == 1 else ""
    sampled = bool(data[28] & 1) if len(data) >= 29 and data[27] == 2 else None
    context = _context(data[2:18].hex(), span, "grpc-trace-bin")
    return context and replace(context, is_sampled=sampled)


def hex_from_decimal(text: str) -> str:
    """Return an unsigned 64-bit decimal number as 16 hex digits, or "" (also for zero)."""
    digits = _hex_of_number(text)
    return digits if len(digits) == 16 else ""


def _hex_of_number(text: str) -> str:
    """Return a decimal number as 16 hex digits, or 32 where it needs them; "" for zero too."""
    stripped = _strip(text)
    number = int(stripped) if _DECIMAL.fullmatch(stripped) else 0
    if not number or number >> 128:
        return ""
    return f"{number:032x}" if number >> 64 else f"{number:016x}"


def trace_context_from_headers(headers: Mapping[str, str]) -> TraceContext | None:
    """
    Return what the headers of one message say about the trace, or `None`.

    Header names in any case. When several carriers are there the order is: traceparent, b3, X-B3,
    uber-trace-id, X-Amzn-Trace-Id, X-Cloud-Trace-Context, Datadog, grpc-trace-bin, Request-Id. One
    that was sent twice with the same value, which logs join by a comma, counts once; of two values
    nobody can tell which one the receiver took.
    """
    lower = {str(name).lower(): _once(str(value)) for name, value in headers.items()}
    return (
        parse_traceparent(lower.get("traceparent", ""))
        or parse_b3(lower.get("b3", ""))
        or parse_b3_multi(lower)
        or parse_uber(lower.get("uber-trace-id", ""))
        or parse_xray(lower.get("x-amzn-trace-id", ""))
        or parse_cloud_trace(lower.get("x-cloud-trace-context", ""))
        or parse_datadog(lower)
        or parse_grpc_trace_bin(lower.get("grpc-trace-bin", ""))
        or parse_request_id(lower.get("request-id", ""))
    )


def _once(text: str) -> str:
    if "," not in text or len(text) > _MAX_LENGTH:
        return text
    parts = {part.strip() for part in text.split(",")}
    return parts.pop() if len(parts) == 1 else text


def trace_id_candidates(text: str) -> tuple[Candidate, ...]:
    """
    Return every key under which an id that a person holds may be known, likeliest first.

    Keys are what the id index is written with: canonical trace ids, `request_id_key` forms, the
    low half of a 64-bit trace id, lower-case text. A whole header value may be pasted as well.
    """
    stripped = _strip(text)
    _, _, after_name = stripped.partition(": ")
    stripped = after_name.strip() or stripped
    lower = stripped.lower()
    if lower in _MISSING:
        return ()
    found: dict[str, str] = {}

    def add(key: str, rule: str) -> None:
        if key:
            found.setdefault(key, rule)

    for parse in (parse_traceparent, parse_b3, parse_uber, parse_xray, parse_cloud_trace):
        if context := parse(stripped):
            add(context.trace_id, context.carrier)
    if lower.startswith("|"):
        context = parse_request_id(stripped)
        add(context.trace_id if context else "", "request-id")
        add(request_id_key(request_id_root(stripped)), "request-id-root")
    skywalking = sw8_trace_id(stripped)
    add(normalise_trace_id(skywalking), "sw8")
    add(request_id_key(skywalking), "sw8")
    bare = lower.removeprefix("0x")
    # Shorter hex is a word or a number more often than an id that lost its zeros.
    if len(bare) >= 8:
        add(normalise_trace_id(bare if bare != lower else stripped), "trace-id")
    add(request_id_key(bare), "request-id-key")
    trace_id = next(iter(found), "")
    add(low_64(trace_id) if is_64bit(trace_id) else "", "low-64")
    number = _hex_of_number(stripped) if len(lower) >= 8 else ""
    add(_padded(number, 32), "decimal")
    add(number, "decimal")
    # a double click leaves the padding of base64 out
    add(lower + "=" * (-len(lower) % 4) if _UNPADDED.fullmatch(stripped) else "", "padded")
    raw = _base64_hex(stripped) if _BASE64_BARE.fullmatch(stripped) else ""
    add(raw if raw.strip("0") else "", "base64")
    # a UUID that a program wrote as 16 bytes, padded or not
    add(request_id_key(raw) or request_id_key(trace_id), "uuid")
    add(lower, "text")
    return tuple(Candidate(key, rule) for key, rule in found.items())


def _context(trace: str, span: str, carrier: str) -> TraceContext | None:
    trace_id = normalise_trace_id(trace) if _HEX.fullmatch(trace) else ""
    if not trace_id:
        return None
    span_id = normalise_span_id(span)
    return TraceContext(
        trace_id=trace_id,
        span_id=span_id,
        is_sampled=None,
        carrier=carrier,
        is_64bit=is_64bit(trace_id),
        is_parent_invalid=not span_id,
    )


def _strip(text: str) -> str:
    """Take blanks, quotes and braces off, in whatever order they lie around each other."""
    stripped = text if len(text) <= _MAX_LENGTH else ""
    while True:
        inner = stripped.strip().strip('"')
        if len(inner) > 1 and inner.startswith("{") and inner.endswith("}"):
            inner = inner[1:-1]
        if inner == stripped:
            return stripped
        stripped = inner


def _padded(digits: str, width: int) -> str:
    padded = digits.rjust(width, "0")
    return padded if len(padded) == width and padded.strip("0") else ""


def _base64_bytes(text: str) -> bytes:
    try:
        padded = text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4)
        return base64.b64decode(padded, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _base64_hex(text: str) -> str:
    return _base64_bytes(text).hex()
