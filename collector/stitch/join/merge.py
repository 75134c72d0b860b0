"""
Several stored versions and sources of one gateway request, merged into one record.

API Management writes the same request to Log Analytics, Application Insights and an event hub, each
with fields that the others lack. They share (gateway, record id) and are counted once. Application
Insights keeps the call to the backend in a row of its own, which may not name the request's id:
such a row shares a key with the request's own row instead.
"""

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from operator import attrgetter
from typing import Any

from collector.attributes import REQUEST_KEY
from collector.decode.quality import MEANINGS as TIME_FLAGS
from collector.model import GatewayRecord, Id
from collector.stitch.timeline import MergedRecord
from collector.stitch.tree.nodes import derived_span_id

_Key = tuple[str, str]
_TIMES = ("duration_ns", "client_ns", "gateway_ns", "cache_ns", "backend_ns")
# Merged by rules of their own below, or part of the identity.
_SPECIAL = frozenset(
    {
        *_TIMES,
        "gateway",
        "record_id",
        "start_ns",
        "resolution_ns",
        "ids",
        "trace_id",
        "trace_id_source",
        "parent_span_id",
        "outgoing_span_id",
        "is_error",
        "quality",
        "attributes",
        "weight",
        "received_ns",
        "kind",
    }
)
_NAMES = tuple(f.name for f in fields(GatewayRecord))
_PLAIN = tuple(name for name in _NAMES if name not in _SPECIAL)
# `replace` asks each of some sixty fields what it is: three times as long.
_values = attrgetter(*_NAMES)


def merge_records(records: Iterable[GatewayRecord]) -> list[MergedRecord]:
    """
    Return one merged record per (gateway, record id), in order of start.

    The order of *records* and the time they arrived make no difference. Times are taken together
    from the version that has most of them, so that parts and total stay of one measurement; the
    trace context is taken together as well. Other fields: the first version that says something,
    the most complete version first.
    """
    records = list(records)
    names = _find_names(records)
    groups: dict[_Key, list[GatewayRecord]] = {}
    for record in records:
        key = (record.gateway, record.record_id.lower())
        groups.setdefault(names.get(key, key), []).append(record)
    merged = [_merge(group, record_id) for (_, record_id), group in groups.items()]
    return sorted(merged, key=lambda m: (m.record.start_ns, m.record.gateway, m.record.record_id))


def _find_names(records: list[GatewayRecord]) -> dict[_Key, _Key]:
    """Return the identity of the requests behind the keys that stand in for a record id."""
    found: dict[_Key, set[str]] = {}
    for record in records:
        shared = record.attributes.get(REQUEST_KEY, "")
        if shared and record.record_id.lower() != shared:
            found.setdefault((record.gateway, shared), set()).add(record.record_id.lower())
    return {key: (key[0], min(ids)) for key, ids in found.items() if len(ids) == 1}


def _merge(group: list[GatewayRecord], record_id: str) -> MergedRecord:
    versions = sorted(group, key=_completeness, reverse=True) if len(group) > 1 else group
    first = next(v for v in versions if v.record_id.lower() == record_id)
    merged = GatewayRecord(**dict(zip(_NAMES, _values(first), strict=True)))
    # Nearly every record came once: to compare it with itself takes as long as all the rest.
    if len(versions) > 1:
        _merge_versions(merged, versions)
    _add_calls(merged, versions)
    merged.quality = tuple(sorted(set(merged.quality)))
    merged.ids = tuple(
        sorted({(i.kind, i.value): i for v in versions for i in v.ids}.values(), key=_id_order)
    )
    merged.attributes = _merged_attributes(versions)
    return MergedRecord(
        record=merged,
        sources=tuple(sorted({v.source or v.gateway for v in versions})),
        versions=len(versions),
        span_id=derived_span_id(first.gateway, first.record_id.lower()),
    )


def _merge_versions(merged: GatewayRecord, versions: list[GatewayRecord]) -> None:
    for name in _PLAIN:
        setattr(merged, name, _first_said(versions, name))
    _merge_times(merged, versions)
    _merge_context(merged, versions)
    merged.kind = next((v.kind for v in versions if v.kind != "http"), merged.kind)
    merged.is_error = any(v.is_error for v in versions)
    merged.weight = max(v.weight for v in versions)
    merged.is_probe = any(v.is_probe for v in versions)
    merged.received_ns = max(v.received_ns for v in versions)


def _merge_times(merged: GatewayRecord, versions: list[GatewayRecord]) -> None:
    # Durations of two clocks mixed would contradict each other by their rounding alone.
    timed = min(versions, key=lambda v: (-_count_times(v), v.resolution_ns))
    for name in _TIMES:
        setattr(merged, name, getattr(timed, name))
    if merged.duration_ns is None:
        merged.duration_ns = _first_said(versions, "duration_ns")
    merged.resolution_ns = timed.resolution_ns
    # A flag about times belongs to the version whose times are used.
    others = {flag for v in versions for flag in v.quality if flag not in TIME_FLAGS}
    merged.quality = (*others, *timed.quality)
    merged.start_ns = min(versions, key=lambda v: (v.resolution_ns, -_count_times(v))).start_ns


def _merge_context(merged: GatewayRecord, versions: list[GatewayRecord]) -> None:
    traced = max(
        versions,
        key=lambda v: (bool(v.trace_id), bool(v.outgoing_span_id), bool(v.parent_span_id)),
    )
    merged.trace_id, merged.trace_id_source = traced.trace_id, traced.trace_id_source
    merged.parent_span_id = traced.parent_span_id
    merged.outgoing_span_id = traced.outgoing_span_id
    for version in versions:
        if version.trace_id == merged.trace_id:
            merged.parent_span_id = merged.parent_span_id or version.parent_span_id
            merged.outgoing_span_id = merged.outgoing_span_id or version.outgoing_span_id


def _add_calls(merged: GatewayRecord, versions: list[GatewayRecord]) -> None:
    """Add up the backend calls that have rows of their own, if no other row has their sum."""
    calls = {
        v.outgoing_span_id: v
        for v in sorted(versions, key=lambda v: (v.start_ns, v.outgoing_span_id))
        if v.attributes.get(REQUEST_KEY) and v.duration_ns is None and v.backend_ns is not None
    }
    is_summed = any(v.duration_ns is not None and v.backend_ns is not None for v in versions)
    if not calls or is_summed:
        return
    last = list(calls.values())[-1]
    merged.backend_ns = sum(call.backend_ns or 0 for call in calls.values())
    merged.attempts = len(calls)
    if merged.duration_ns is not None and merged.gateway_ns is None:
        merged.gateway_ns = max(0, merged.duration_ns - merged.backend_ns)
    if last.trace_id == merged.trace_id:
        merged.outgoing_span_id = last.outgoing_span_id
    merged.backend_status = last.backend_status
    merged.backend_host, merged.backend_path = last.backend_host, last.backend_path


def _merged_attributes(versions: list[GatewayRecord]) -> Mapping[str, str]:
    merged: dict[str, str] = {}
    for version in reversed(versions):
        merged.update(version.attributes)
    return dict(sorted(merged.items()))


def _first_said(versions: list[GatewayRecord], name: str) -> Any:
    values = [getattr(version, name) for version in versions]
    return next((value for value in values if value not in (None, "")), values[0])


def _count_times(record: GatewayRecord) -> int:
    return sum(getattr(record, name) is not None for name in _TIMES)


def _completeness(record: GatewayRecord) -> tuple[int, int, str]:
    said = sum(getattr(record, name) not in (None, "") for name in _PLAIN)
    # The representation breaks ties, so that the order of arrival never does.
    return (_count_times(record), said, repr(replace(record, received_ns=0)))


def _id_order(found: Id) -> tuple[str, str]:
    return (found.kind, found.value)
