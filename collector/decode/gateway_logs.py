"""
Gateway records among OTLP log records: access logs that a gateway exports as such.

In: a canonical ExportLogsServiceRequest. Out: one gateway record for each of its log records that a
gateway wrote about a request; the log records themselves stay what they are.

Source: Kong's plugin `opentelemetry`, `access_logs_endpoint` (3.13) and `access_logs.endpoint`.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from collector.decode.fields import FieldError, NotARequest
from collector.decode.gateways import kong
from collector.model import GatewayRecord

_BEYOND = 2.0**63
_MARK = kong.ACCESS_LOG_MARK.encode()


def find_records(message: bytes) -> list[GatewayRecord]:
    """Return what the log records in *message* tell of requests; what cannot be read, is left."""
    if _MARK not in message:
        return []
    request = ExportLogsServiceRequest.FromString(message)
    return list(_read(request))


def _read(request: ExportLogsServiceRequest) -> Iterator[GatewayRecord]:
    for resource in request.resource_logs:
        instance = _attributes(resource.resource.attributes).get("service.instance.id", "")
        for scope in resource.scope_logs:
            for log in scope.log_records:
                try:
                    record = kong.read_attributes(_attributes(log.attributes))
                except (FieldError, NotARequest):
                    continue
                if record is not None:
                    record.instance = record.instance or str(instance)
                    if not record.trace_id and len(log.trace_id) == 16 and any(log.trace_id):
                        record.trace_id, record.trace_id_source = log.trace_id.hex(), "log.trace_id"
                    yield record


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    """
    Return attributes by name, whole numbers as such.

    Left out are nested values, and numbers that JSON could not have: readers expect none.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        kind = pair.value.WhichOneof("value")
        if kind in ("string_value", "int_value", "bool_value"):
            found[pair.key] = getattr(pair.value, kind)
        elif kind == "double_value":
            value = pair.value.double_value
            if abs(value) < _BEYOND:  # not so infinite ones, and what is no number
                found[pair.key] = int(value) if value.is_integer() else value
    return found
