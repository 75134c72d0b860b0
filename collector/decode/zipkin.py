"""
Zipkin v2 spans, JSON and protobuf, to the canonical OTLP message.

Shared spans: with B3 propagation a server may report its half of a call under the client's span id
(`shared: true`; Envoy's Zipkin tracer does so by default). Two rows with one id would hide each
other, so the server's half gets an id of its own, made from what it says of itself and therefore
the same each time it is sent; its parent is the shared id. The id as reported stays in the
attribute `zipkin.shared_id`, the parent as reported in `zipkin.shared_parent_id`. Children of the
server's half still name the shared id as their parent.

Envoy's byte order: in protobuf Envoy writes a span's id and its parent's with their bytes reversed
on the usual processors (seen in 1.40; `Util::toByteString` since 2019), the trace id rightly. They
would fit each other, but no id in a header and no span of an application, so they are turned round;
`zipkin.id_as_sent` keeps the first form.

Partial reports: a span may be reported in several pieces, one of them without a timestamp (tags
that came late, a server that only adds to what its client began). Each piece is a row;
`zipkin.partial` says what it left out, and `stitch.tree.reports` puts them together.

Source: openzipkin/zipkin-api zipkin2-api.yaml and zipkin.proto; OpenTelemetry specification
trace/sdk_exporters/zipkin.md; contrib pkg/translator/zipkin/zipkinv2/to_translator.go. Departures
from the latter: a missing start is taken from the first annotation, else from the time of arrival
(never 1970), and an `error` tag with a text is an error too, as Zipkin itself reads it.
"""

import json
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from ipaddress import ip_address
from itertools import islice
from typing import Any

import orjson
from google.protobuf.message import DecodeError

from collector.attributes import DURATION_US, PARTIAL, SHARED_ID, SHARED_PARENT_ID
from collector.decode.fields import describe
from collector.decode.otlp.json import check_json_size
from collector.decode.otlp.protobuf import MIN_TIME_NS
from collector.decode.otlp.writer import (
    MAX_EVENTS,
    MAX_LINKS,
    MAX_TIME_NS,
    SpanWriter,
    Text,
    UnusableSpanError,
    encode_event,
    encode_link,
    encode_resource,
    encode_scope,
    encode_span,
)
from collector.decode.protobuf.slices import MAX_SPAN_BYTES, count_most_spans, find_slices
from collector.decode.protobuf.split import MAX_ATTRIBUTES
from collector.decode.result import DecodeResult
from collector.errors import Undecodable
from collector.wire import zipkin_pb2 as wire

# JSON of empty objects becomes twenty times its size in memory.
ID_AS_SENT = "zipkin.id_as_sent"
_KINDS = {"SERVER": 2, "CLIENT": 3, "PRODUCER": 4, "CONSUMER": 5}
_CLIENT = 3
_KIND_NAMES = {1: "CLIENT", 2: "SERVER", 3: "PRODUCER", 4: "CONSUMER"}
_STATUS_CODES = {"OK": 1, "STATUS_CODE_OK": 1, "ERROR": 2, "STATUS_CODE_ERROR": 2}
_RESOURCE_KEYS = (
    "service.",
    "telemetry.",
    "k8s.",
    "container.",
    "cloud.",
    "deployment.",
    "host.",
    "os.",
    "process.",
)
_SERVICE_NAME_SOURCE = "otlp.service.name.source"
_TOO_LARGE = object()
# not a text, so no JSON can hold it
_DROPPED: Any = ("dropped",)
_NOTHING: dict[str, Any] = {}
_US = 1000
_MAX_US = MAX_TIME_NS // _US


def decode_json(body: bytes, received_ns: int) -> DecodeResult:
    """
    Decode a JSON array of spans.

    Shape: `[{"traceId", "id", ...}]`, of any number of traces and services, in any order.

    Raises:
        TooLarge: above 8 MiB, which can take twenty times that in memory. Never retried.
        Undecodable: the body is not a JSON array. Never retried.
    """
    check_json_size(body)
    spans, repaired = _load_json(body)
    if not isinstance(spans, list):
        msg = f"expected a JSON array of Zipkin v2 spans, got {describe(spans)}"
        raise Undecodable(msg, hint="POST /api/v2/spans takes [{...}, ...]")
    if len(spans) > count_most_spans(len(body)):
        msg = f"{len(spans)} entries in {len(body)} bytes: too many to be spans"
        raise Undecodable(msg)
    return _convert(spans, received_ns, repaired)


def decode_protobuf(body: bytes, received_ns: int) -> DecodeResult:
    """
    Decode a protobuf `ListOfSpans`.

    Raises:
        Undecodable: the body is not that message. Never retried.
    """
    slices = find_slices(body, 0, len(body)).get(1, [])
    return _convert(_plain_spans(body, slices), received_ns, 0)


def _convert(spans: Iterable[Any], received_ns: int, repaired: int) -> DecodeResult:
    writer = SpanWriter(received_ns)
    if repaired:
        writer.repair("text", repaired)
    for writer.index, span in enumerate(spans):
        try:
            _write_span(writer, span)
        except UnusableSpanError as exc:
            writer.reject(exc.code)
    return writer.finish()


def _write_span(writer: SpanWriter, span: Any) -> None:
    if not isinstance(span, dict):
        raise UnusableSpanError("too_large" if span is _TOO_LARGE else "not_a_span")
    trace_id = _id(span.get("traceId"), 16, "trace_id")
    span_id = _id(span.get("id"), 8, "span_id")
    parent_id = _parent_id(writer, span, span_id)
    start_ns, end_ns, is_partial = _times(writer, span)
    tags = _tags(span.get("tags"))
    kind = _kind(span.get("kind"), tags)
    if is_partial:
        tags[PARTIAL] = "timestamp"
        if duration_us := _micros(span.get("duration")):
            tags[DURATION_US] = duration_us
    if span.get("debug") is True:
        tags["zipkin.debug"] = True
    if span.get("shared") is True and kind != _CLIENT:
        tags[SHARED_ID] = span_id.hex()
        if parent_id:
            tags[SHARED_PARENT_ID] = parent_id.hex()
        parent_id, span_id = span_id, _own_id(trace_id, span_id, start_ns, span)
    elif is_partial and not parent_id:
        # Its first report may name a parent: it must not pass for the first span of its trace.
        parent_id = span_id
    status_code, status_message = _status(writer, tags)
    trace_state = writer.text(_text(tags.pop("w3c.tracestate", "")))
    scope = _scope(writer, tags)
    links = list(_links(writer, tags))
    resource = _resource(writer, span.get("localEndpoint"), tags)
    encoded = encode_span(
        trace_id=trace_id,
        span_id=span_id,
        parent_id=parent_id,
        name=writer.text(_text(span.get("name"))),
        kind=kind,
        start_ns=start_ns,
        end_ns=end_ns,
        attributes=_attributes(writer, span, tags),
        events=_events(writer, span.get("annotations"), start_ns),
        links=links,
        status_code=status_code,
        status_message=status_message,
        trace_state=trace_state,
        dropped=_count_dropped(writer, span),
    )
    writer.add(resource, scope, encoded)


def _id(value: Any, width: int, field: str) -> bytes:
    if not isinstance(value, str) or not 0 < len(value) <= width * 2:
        raise UnusableSpanError(f"{field}_malformed")
    try:
        found = bytes.fromhex(value.rjust(width * 2, "0"))
    except ValueError:
        found = b""
    # fromhex skips blanks, so a short result means that there were some.
    if len(found) != width:
        raise UnusableSpanError(f"{field}_malformed")
    if not any(found):
        raise UnusableSpanError(f"{field}_zero")
    return found


def _parent_id(writer: SpanWriter, span: dict[str, Any], span_id: bytes) -> bytes:
    value = span.get("parentId")
    if value is None or value == "" or value == "0000000000000000":
        return b""
    try:
        parent_id = _id(value, 8, "span_id")
    except UnusableSpanError:
        # A span without its parent is worth more than no span.
        writer.repair("parent_id_malformed")
        return b""
    return b"" if parent_id == span_id else parent_id


def _times(writer: SpanWriter, span: dict[str, Any]) -> tuple[int, int, bool]:
    """Return start and end, and whether the report left out when the span began."""
    annotated = [us for us, _ in _annotations(span.get("annotations")) if us]
    start_us, duration_us = _micros(span.get("timestamp")), _micros(span.get("duration"))
    is_partial = not start_us
    if is_partial and annotated:
        start_us = min(annotated)
        writer.repair("start_derived")
    elif is_partial:
        start_us = writer.received_ns // _US
        writer.repair("observed_time")
    start_ns = start_us * _US
    if start_ns < MIN_TIME_NS:
        raise UnusableSpanError("start_past")
    # A duration says when a span ended only beside its own start.
    if is_partial or not duration_us:
        duration_us = max(0, max(annotated, default=start_us) - start_us)
    return start_ns, min(start_ns + duration_us * _US, MAX_TIME_NS), is_partial


def _micros(value: Any) -> int:
    """Return a count of microseconds, 0 for anything that is none."""
    if type(value) is int:
        return min(value, _MAX_US) if value > 0 else 0
    if isinstance(value, float) and value > 0:
        return int(min(value, _MAX_US))
    if isinstance(value, str) and value.isdecimal() and len(value) < 20:
        return min(int(value), _MAX_US)
    return 0


def _tags(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UnusableSpanError("not_a_span")
    return {key: item for key, item in islice(value.items(), MAX_ATTRIBUTES) if item is not None}


def _count_dropped(writer: SpanWriter, span: dict[str, Any]) -> tuple[int, int, int]:
    tags, annotations = span.get("tags"), span.get("annotations")
    lost_tags = len(tags) - MAX_ATTRIBUTES if isinstance(tags, dict) else 0
    lost_events = len(annotations) - MAX_EVENTS if isinstance(annotations, list) else 0
    if _DROPPED in span:
        lost_tags, lost_events = span[_DROPPED]
    if lost_tags > 0:
        writer.repair("attributes", lost_tags)
    if lost_events > 0:
        writer.repair("events", lost_events)
    return max(lost_tags, 0), max(lost_events, 0), 0


def _plain_value(value: Any) -> str | bool | int | float:
    if isinstance(value, str | bool | int | float):
        return value
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _kind(value: Any, tags: dict[str, Any]) -> int:
    if isinstance(value, str) and value:
        return _KINDS.get(value.upper(), 0)
    return 1 if tags.pop("span.kind", None) == "internal" else 0


def _status(writer: SpanWriter, tags: dict[str, Any]) -> tuple[int, bytes]:
    code, message = 0, b""
    if "otel.status_code" in tags:
        code = _STATUS_CODES.get(_text(tags.pop("otel.status_code")).upper(), 0)
        message = writer.text(_text(tags.pop("otel.status_description", "")))
    if "error" in tags:
        error = _text(tags["error"])
        if error.lower() == "true":
            del tags["error"]
            code = 2
        elif error.lower() != "false":
            code, message = 2, message or writer.text(error)
    return code, message


def _scope(writer: SpanWriter, tags: dict[str, Any]) -> bytes:
    name = tags.pop("otel.scope.name", None) or tags.pop("otel.library.name", None) or ""
    version = tags.pop("otel.scope.version", None) or tags.pop("otel.library.version", None) or ""
    if not name:
        return b""
    return encode_scope(writer.text(_text(name)), writer.text(_text(version)))


def _resource(writer: SpanWriter, endpoint: Any, tags: dict[str, Any]) -> bytes:
    attributes: dict[Text, bytes] = {}
    name = endpoint.get("serviceName") if isinstance(endpoint, dict) else None
    source = _text(tags.pop(_SERVICE_NAME_SOURCE, "")) or "service.name"
    if isinstance(name, str) and name:
        attributes[source] = writer.text_attribute(source, name)
    moved = [key for key in tags if key.startswith(_RESOURCE_KEYS)]
    for key in moved:
        attributes[key] = writer.attribute(key, _plain_value(tags.pop(key)))
    return encode_resource(attributes.values())


def _attributes(
    writer: SpanWriter, span: dict[str, Any], tags: dict[str, Any]
) -> dict[Text, bytes]:
    attributes: dict[Text, bytes] = {
        key: writer.text_attribute(key, value)
        if type(value) is str
        else writer.attribute(key, _plain_value(value))
        for key, value in tags.items()
    }
    for name, prefix in (("localEndpoint", "net.host"), ("remoteEndpoint", "net.peer")):
        endpoint = span.get(name)
        if not isinstance(endpoint, dict):
            continue
        service = endpoint.get("serviceName")
        if prefix == "net.peer" and isinstance(service, str) and service:
            attributes.setdefault("peer.service", writer.text_attribute("peer.service", service))
        address = endpoint.get("ipv4") or endpoint.get("ipv6")
        if isinstance(address, str) and address:
            key = f"{prefix}.ip"
            attributes.setdefault(key, writer.text_attribute(key, address))
        port = endpoint.get("port")
        if type(port) is int and 0 < port < 65536:
            attributes[f"{prefix}.port"] = writer.attribute(f"{prefix}.port", port)
    return attributes


def _annotations(value: Any) -> Iterator[tuple[int, str]]:
    if not isinstance(value, list):
        return
    for item in islice(value, MAX_EVENTS):
        if isinstance(item, dict):
            us = _micros(item.get("timestamp"))
            yield us if MIN_TIME_NS <= us * _US < MAX_TIME_NS else 0, _text(item.get("value"))


def _events(writer: SpanWriter, annotations: Any, start_ns: int) -> Iterator[bytes]:
    for us, value in _annotations(annotations):
        if not us:
            writer.repair("event_time")
        # OpenTelemetry's exporter packs an event as `name|{json attributes}|dropped`.
        name, attributes, dropped = value, _NOTHING, 0
        parts = value.split("|")
        if len(parts) >= 3 and (packed := _packed("|".join(parts[1:-1]), parts[-1])):
            name, (attributes, dropped) = parts[0], packed
        encoded = [writer.attribute(key, item) for key, item in attributes.items()]
        yield encode_event(us * _US or start_ns, writer.text(name), encoded, dropped)


def _links(writer: SpanWriter, tags: dict[str, Any]) -> Iterator[bytes]:
    for number in range(MAX_LINKS):
        key = f"otlp.link.{number}"
        if key not in tags:
            return
        parts = _text(tags[key]).split("|")
        packed = _packed("|".join(parts[3:-1]), parts[-1]) if len(parts) >= 5 else None
        if packed is None:
            # It stays a tag: nothing is lost, and the next one may be in order.
            continue
        try:
            trace_id, span_id = _id(parts[0], 16, "trace_id"), _id(parts[1], 8, "span_id")
        except UnusableSpanError:
            continue
        del tags[key]
        attributes, dropped = packed
        encoded = [writer.attribute(name, item) for name, item in attributes.items()]
        yield encode_link(trace_id, span_id, writer.text(parts[2]), encoded, dropped)


def _packed(text: str, dropped: str) -> tuple[dict[str, Any], int] | None:
    if not text.startswith("{") or not dropped.isdecimal() or len(dropped) > 9:
        return None
    try:
        loaded = orjson.loads(text)
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        return None
    values = {key: _plain_value(item) for key, item in loaded.items() if item is not None}
    return values, int(dropped)


def _own_id(trace_id: bytes, span_id: bytes, start_ns: int, span: dict[str, Any]) -> bytes:
    # Retries without a span per attempt reach several servers under one id: who and when tell
    # them apart.
    endpoint = span.get("localEndpoint")
    local = endpoint if isinstance(endpoint, dict) else {}
    who = (local.get("serviceName"), local.get("ipv4") or local.get("ipv6"), start_ns)
    key = "|".join(str(part or "") for part in who).encode("utf-8", "replace")
    return blake2b(trace_id + span_id + key, digest_size=8, person=b"zipkin-shared").digest()


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else str(_plain_value(value))


def _load_json(body: bytes) -> tuple[Any, int]:
    try:
        return orjson.loads(body), 0
    except orjson.JSONDecodeError as exc:
        text = body.decode("utf-8", "replace")
        # orjson refuses bytes that are not UTF-8 and lone surrogates. One such tag must not cost
        # the other spans, so the slower parser reads what is left after repair.
        if "\ufffd" in text or "\\ud" in text.lower():
            try:
                return json.loads(text), 1
            except (ValueError, RecursionError):
                pass
        msg = f"not JSON: {exc}"
        raise Undecodable(msg) from exc


def _plain_spans(body: bytes, slices: Iterable[tuple[int, int]]) -> Iterator[object]:
    """Give protobuf spans in the shape that the JSON has, one at a time."""
    for at, stop in slices:
        if stop - at > MAX_SPAN_BYTES:
            yield _TOO_LARGE
            continue
        try:
            span = wire.Span.FromString(body[at:stop])
        except DecodeError as exc:
            msg = f"not a Zipkin ListOfSpans: {exc}"
            raise Undecodable(msg) from exc
        yield _plain_span(span)


def _plain_span(span: wire.Span) -> dict[Any, Any]:
    tags: dict[str, Any] = {
        _repaired_text(tag.key): _repaired_text(tag.value)
        for tag in islice(span.tags, MAX_ATTRIBUTES)
    }
    span_id, parent_id = span.id, span.parent_id
    if tags.get("component") == "proxy" and "response_flags" in tags:
        tags[ID_AS_SENT] = span_id.hex()
        span_id, parent_id = span_id[::-1], parent_id[::-1]
    return {
        "traceId": span.trace_id.hex(),
        "id": span_id.hex(),
        "parentId": parent_id.hex(),
        "kind": _KIND_NAMES.get(span.kind),
        "name": _repaired_text(span.name),
        "timestamp": span.timestamp,
        "duration": span.duration,
        "localEndpoint": _plain_endpoint(span.local_endpoint),
        "remoteEndpoint": _plain_endpoint(span.remote_endpoint),
        "annotations": [
            {"timestamp": item.timestamp, "value": _repaired_text(item.value)}
            for item in islice(span.annotations, MAX_EVENTS)
        ],
        "tags": tags,
        _DROPPED: (len(span.tags) - MAX_ATTRIBUTES, len(span.annotations) - MAX_EVENTS),
        "debug": span.debug,
        "shared": span.shared,
    }


def _plain_endpoint(endpoint: wire.Endpoint) -> dict[str, Any]:
    return {
        "serviceName": _repaired_text(endpoint.service_name),
        "ipv4": str(ip_address(endpoint.ipv4)) if len(endpoint.ipv4) == 4 else "",
        "ipv6": str(ip_address(endpoint.ipv6)) if len(endpoint.ipv6) == 16 else "",
        "port": endpoint.port,
    }


def _repaired_text(value: bytes) -> str:
    # Wrong bytes become surrogates here, which the writer repairs and counts.
    return value.decode("utf-8", "surrogateescape")
