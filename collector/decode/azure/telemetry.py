"""
Telemetry of Application Insights in its other shapes, brought to the columns of its tables.

The ingestion envelope is what an SDK sends and what agents and proxies record of it: names and
tags around `baseData`. Continuous export wrote blobs with a list for the kind (`request`) and
dimensions as a list of single members, until it was retired in 2024.

Source: ApplicationInsights-dotnet Schema/PublicSchema (Envelope, RequestData,
RemoteDependencyData, ContextTagKeys); azure-docs app/export-data-model.md.
"""

from collections.abc import Mapping
from typing import Any

from collector.decode.azure.rows import FlatRow, rename
from collector.decode.fields import (
    FieldError,
    NotARequest,
    Row,
    describe,
    parse_timespan_ns,
    read_object,
    read_text,
)
from collector.timestamps import NS_PER_MS

_BASE_TYPES = {"RequestData": "AppRequests", "RemoteDependencyData": "AppDependencies"}
_TAGS = {
    "operationid": "ai.operation.id",
    "parentid": "ai.operation.parentId",
    "operationname": "ai.operation.name",
    "approlename": "ai.cloud.role",
    "clientip": "ai.location.ip",
    "sdkversion": "ai.internal.sdkVersion",
}
_EXPORTED = {"request": "AppRequests", "remoteDependency": "AppDependencies"}
_OTHER_EXPORTS = frozenset(
    ("event", "message", "metric", "basicException", "view", "availability", "viewPerformance")
    + ("clientPerformance", "performanceCounter", "rdd")
)
_TICK_NS = 100


def is_enveloped(row: Row) -> bool:
    """Tell whether *row* is telemetry in one of the shapes that are no table's."""
    data = row.get("data")
    if data.__class__ is dict and "baseType" in data:
        return True
    is_exported = any(row.get(name).__class__ is list for name in _EXPORTED)
    is_exported = is_exported or row.get("internal").__class__ is dict
    return is_exported and row.get("context").__class__ is dict


def flatten_item(row: Row) -> FlatRow:
    """
    Return *row* under the canonical names of the tables' columns.

    Raises:
        NotARequest: it is of another kind than a request or a dependency.
        FieldError: a member has another shape than documented.
    """
    if not is_enveloped(row):
        return rename(row)
    columns = _of_ingestion(row) if "baseType" in read_object(row, "data") else _of_export(row)
    flat = rename({name: value for name, value in columns.items() if value not in (None, "")})
    flat.original = row
    flat.dynamic = frozenset()
    return flat


def _of_ingestion(row: Row) -> dict[str, Any]:
    data = read_object(row, "data")
    kind = read_text(data, "baseType", within="data.")
    if kind not in _BASE_TYPES:
        raise NotARequest("category", f"{kind} does not describe one request")
    base = read_object(data, "baseData", within="data.")
    tags = read_object(row, "tags")
    return {
        "type": _BASE_TYPES[kind],
        "time": row.get("time"),
        "durationms": _timespan_ms(base.get("duration")),
        "resultcode": base.get("responseCode", base.get("resultCode")),
        "itemcount": _weight(row.get("sampleRate")),
        **{name: base.get(name) for name in ("id", "name", "url", "data", "target", "success")},
        "properties": base.get("properties"),
        **{name: tags.get(tag) for name, tag in _TAGS.items()},
    }


def _of_export(row: Row) -> dict[str, Any]:
    kind = next((name for name in _EXPORTED if row.get(name)), "")
    if not kind:
        other = next((name for name in row if name in _OTHER_EXPORTS), "telemetry of another kind")
        raise NotARequest("category", f"{other} does not describe one request")
    items = row[kind]
    item = items[0] if isinstance(items, list) and isinstance(items[0], dict) else {}
    context = read_object(row, "context")
    data = read_object(context, "data", within="context.")
    operation = read_object(context, "operation", within="context.")
    device = read_object(context, "device", within="context.")
    location = read_object(context, "location", within="context.")
    custom = read_object(context, "custom", within="context.")
    return {
        "type": _EXPORTED[kind],
        "time": data.get("eventTime"),
        "durationms": _ticks_ms(item.get("durationMetric")),
        "resultcode": item.get("responseCode", item.get("resultCode")),
        "itemcount": _weight(data.get("samplingRate")),
        **{name: item.get(name) for name in ("id", "name", "url", "success")},
        "data": item.get("commandName"),
        "target": item.get("target", item.get("baseName")),
        "properties": _dimensions(custom.get("dimensions")),
        "operationid": operation.get("id"),
        "parentid": operation.get("parentId"),
        "operationname": operation.get("name"),
        "approlename": device.get("roleName"),
        "clientip": location.get("clientip"),
    }


def _timespan_ms(value: Any) -> float | None:
    if isinstance(value, str):
        duration_ns = parse_timespan_ns(value)
        if duration_ns is None:
            raise FieldError("data.baseData.duration", f"expected hh:mm:ss, got {describe(value)}")
        return duration_ns / NS_PER_MS
    return value if isinstance(value, int | float) else None


def _ticks_ms(value: Any) -> float | None:
    """Return a duration metric: its value is in ticks of 100 ns."""
    ticks = value.get("value") if isinstance(value, dict) else None
    return ticks * _TICK_NS / NS_PER_MS if isinstance(ticks, int | float) else None


def _weight(rate: Any) -> int | None:
    """Return how many items one stands for at a sampling rate in percent."""
    if rate is None:
        return None
    if not isinstance(rate, int | float) or not 0 < rate <= 100:
        raise FieldError("sampleRate", "is not a percentage")
    return max(1, round(100 / rate))


def _dimensions(value: Any) -> Mapping[str, Any]:
    """Return custom dimensions as one object; the export has a list of single members."""
    if isinstance(value, dict):
        return value
    members = value if isinstance(value, list) else ()
    return {name: each[name] for each in members if isinstance(each, dict) for name in each}
