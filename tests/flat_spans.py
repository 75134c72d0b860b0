"""DecodeResult messages as plain values, so that a test can say what it expects of them."""

from collections.abc import Iterable
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue


def flat_spans(*messages: bytes) -> list[dict[str, Any]]:
    """Return each span with its resource and scope; empty fields are left out."""
    found = []
    for message in messages:
        for group in ExportTraceServiceRequest.FromString(message).resource_spans:
            resource = _attributes(group.resource.attributes)
            for scope in group.scope_spans:
                named = {
                    "resource": resource,
                    "scope": scope.scope.name,
                    "scope_version": scope.scope.version,
                }
                found += [_present({**named, **_span(span)}) for span in scope.spans]
    return found


def flat_logs(*messages: bytes) -> list[dict[str, Any]]:
    """Return each log record with its resource and scope; empty fields are left out."""
    found = []
    for message in messages:
        for group in ExportLogsServiceRequest.FromString(message).resource_logs:
            resource = _attributes(group.resource.attributes)
            for scope in group.scope_logs:
                for record in scope.log_records:
                    values = {
                        "resource": resource,
                        "scope": scope.scope.name,
                        "trace_id": record.trace_id.hex(),
                        "span_id": record.span_id.hex(),
                        "time_ns": record.time_unix_nano,
                        "body": _value(record.body),
                        "event_name": record.event_name,
                        "attributes": _attributes(record.attributes),
                    }
                    found.append(_present(values))
    return found


def _span(span: Any) -> dict[str, Any]:
    return {
        "trace_id": span.trace_id.hex(),
        "span_id": span.span_id.hex(),
        "parent_span_id": span.parent_span_id.hex(),
        "trace_state": span.trace_state,
        "name": span.name,
        "kind": span.kind,
        "start_ns": span.start_time_unix_nano,
        "end_ns": span.end_time_unix_nano,
        "attributes": _attributes(span.attributes),
        "events": [
            _present(
                {
                    "time_ns": event.time_unix_nano,
                    "name": event.name,
                    "attributes": _attributes(event.attributes),
                    "dropped": event.dropped_attributes_count,
                }
            )
            for event in span.events
        ],
        "links": [
            _present(
                {
                    "trace_id": link.trace_id.hex(),
                    "span_id": link.span_id.hex(),
                    "trace_state": link.trace_state,
                    "attributes": _attributes(link.attributes),
                    "dropped": link.dropped_attributes_count,
                }
            )
            for link in span.links
        ],
        "status": span.status.code,
        "status_message": span.status.message,
        "flags": span.flags,
        "dropped_attributes": span.dropped_attributes_count,
        "dropped_events": span.dropped_events_count,
        "dropped_links": span.dropped_links_count,
    }


def _attributes(attributes: Iterable[KeyValue]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for attribute in attributes:
        assert attribute.key not in found, f"{attribute.key} comes twice"
        found[attribute.key] = _value(attribute.value)
    return found


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    found = getattr(value, kind) if kind else None
    return found.hex() if isinstance(found, bytes) else found


def _present(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in ("", 0, None, [], {})}
