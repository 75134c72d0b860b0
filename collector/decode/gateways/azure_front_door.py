"""
Azure Front Door access logs, and those of Microsoft's CDN, which have the same columns.

Source: azure-docs frontdoor/monitor-front-door.md and front-door-diagnostics.md (access log, WAF
log, health probe log; values of `cacheStatus` and `errorInfo`); azure-docs
web-application-firewall, "Azure Web Application Firewall monitoring and logging".
Times: the record's time is when the edge had delivered the response: the end, the start is
computed (`reading.time`). `timeTaken` is the whole in seconds, from the request's arrival to the
last byte of the response; `timeToFirstByte` is kept as it is. There is no time of the origin.
Statuses: 0 is written when the origin did not answer in time, 499 when the client went away. The
origin's own status is not logged: one that no error of Front Door explains is taken for it.
"""

from collections.abc import Sequence
from typing import Any

from collector.decode.azure.firewall import Firewall, read_firewall_row
from collector.decode.azure.rows import (
    FlatRow,
    has_column,
    read_columns,
    read_named,
    require_columns,
    require_start,
    resource_name,
)
from collector.decode.fields import (
    FieldError,
    NotARequest,
    Row,
    derive_record_id,
    read_bool,
    read_int,
    read_ns_from_s,
    read_status,
    read_text,
    write_raw,
)
from collector.decode.gateways import Adapter
from collector.decode.outcome import settle
from collector.decode.quality import Profile, check
from collector.decode.reading import Reader
from collector.decode.urls import kind_of, split_target
from collector.model import GatewayRecord, Id

PROFILE = Profile(stamped="end")

_MARKS = frozenset(("trackingreference", "refstring", "healthprobeid"))
_CATEGORIES = frozenset({"", "frontdooraccesslog", "azurecdnaccesslog"})
_FIREWALL = Firewall(
    gateway="azure-front-door",
    categories=frozenset({"frontdoorwebapplicationfirewalllog", "webapplicationfirewalllogs"}),
    rule_column="rulename",
    id_columns=("trackingreference", "refstring"),
    id_kind="tracking_id",
)
_PROBE_LOG = "frontdoorhealthprobelog"
_NO_ERROR = "NoError"
_UNASKED = frozenset({"n/a", "na"})
# The rest of the documented errors are the origin's, or of the way there.
_ERRORS = {
    "client": ("ClientDisconnected", "UnspecifiedClientError", "InvalidRequest"),
    "gateway": ("ClientGeoBlocked", "RestrictedIP", "UnspecifiedError"),
}
_SIDES = {error: side for side, errors in _ERRORS.items() for error in errors}
_CACHE = {
    "hit": "hit",
    "remote_hit": "hit",
    # a part of it came from the origin
    "partial_hit": "miss",
    "miss": "miss",
    "config_nocache": "none",
    "cache_noconfig": "none",
    "private_nostore": "none",
}
_TEXTS = {
    "source": "resourceid",
    "method": "httpmethod",
    "scheme": "requestprotocol",
    "host": "hostname",
    "protocol": "httpversion",
    "api": "routingrulename",
    "region": "pop",
    "client_address": "clientip",
    "backend_host": "originname",
    "error_reason": "errorinfo",
}
_ATTRIBUTES = {
    "afd.cache_status": "cachestatus",
    "afd.endpoint": "endpoint",
    "afd.time_to_first_byte_s": "timetofirstbyte",
    "afd.status_details": "httpstatusdetails",
    "afd.client_country": "clientcountry",
    "afd.result": "result",
    "tls.protocol": "securityprotocol",
    "user_agent.original": "useragent",
}
_COLUMNS = (*_TEXTS.values(), *_ATTRIBUTES.values())


def _is_row(row: Row) -> bool:
    return has_column(row, _MARKS)


def _read(flat: FlatRow) -> GatewayRecord:
    category = read_text(flat, "category").lower()
    if category == _PROBE_LOG or (not category and read_text(flat, "healthprobeid")):
        raise NotARequest("category", "a health probe by Front Door, not a request")
    if _FIREWALL.wrote(flat):
        return read_firewall_row(_FIREWALL, flat)
    if category not in _CATEGORIES:
        raise FieldError("category", f"{category!r} is not a Front Door access log")
    # newer logs have the first, older ones the second, which says the opposite
    is_edge = read_bool(flat, "isreceivedfromclient")
    if is_edge is False or (is_edge is None and read_bool(flat, "senttooriginshield")):
        reason = "a parent cache's line: the edge's line is the request"
        raise NotARequest("sidecar", reason)
    require_columns(flat, "timeTaken", "httpStatusCode")
    return _build(flat)


def _build(flat: FlatRow) -> GatewayRecord:
    stamp = require_start(flat, "timegenerated", "time", "timestamp")
    duration_ns = read_ns_from_s(flat, "timetaken")
    raw = write_raw(flat.original)
    reference = read_text(flat, "trackingreference")
    found = ["" if each.lower() in _UNASKED else each for each in read_columns(flat, _COLUMNS)]
    texts: dict[str, Any] = dict(zip(_TEXTS, found, strict=False))
    texts["source"] = resource_name(texts["source"])
    texts["instance"] = texts["source"]
    texts["scheme"] = texts["scheme"].lower()
    texts["protocol"] = _protocol(texts["protocol"])
    record = GatewayRecord(
        gateway="azure-front-door",
        record_id=reference or derive_record_id(raw),
        start_ns=stamp.ns - (duration_ns or 0),
        # what the origin is sent, and the client is answered, as x-azure-ref
        ids=(Id("tracking_id", reference),) if reference else (),
        duration_ns=duration_ns,
        status=read_status(flat, "httpstatuscode"),
        request_bytes=read_int(flat, "requestbytes"),
        response_bytes=read_int(flat, "responsebytes"),
        raw=raw,
        **texts,
    )
    _read_target(record, flat)
    record.attributes = _attributes(record, found[len(_TEXTS) :])
    record.kind = kind_of("", "websocket" if record.scheme in ("ws", "wss") else "")
    _read_outcome(record, flat)
    record.quality = check(record, PROFILE, start_resolution_ns=stamp.resolution_ns)
    return record


def _protocol(version: str) -> str:
    """Return `HTTP/2.0` for `2.0.0.0`, as .NET writes a version."""
    if not version or not version[0].isdecimal():
        return version
    return f"HTTP/{'.'.join(version.split('.')[:2])}"


def _read_target(record: GatewayRecord, flat: FlatRow) -> None:
    target = split_target(read_text(flat, "requesturi"))
    record.path = target.path
    record.scheme = record.scheme or target.scheme
    record.host = record.host or target.host
    origin = split_target(read_text(flat, "originurl"))
    named = record.backend_host or read_text(flat, "backendhostname")
    record.backend_host = named if named.lower() not in _UNASKED else ""
    record.backend_path = origin.path if record.backend_host else ""
    if target.query:
        record.attributes = {"url.query": target.query}


def _attributes(record: GatewayRecord, texts: Sequence[str]) -> dict[str, str]:
    told = {name: text for name, text in zip(_ATTRIBUTES, texts, strict=True) if text}
    return {**record.attributes, **told, "reading.time": "end"}


def _read_outcome(record: GatewayRecord, flat: FlatRow) -> None:
    record.cache = _CACHE.get(read_text(flat, "cachestatus").lower(), "")
    error = record.error_reason = "" if record.error_reason == _NO_ERROR else record.error_reason
    status = record.status
    was_called = bool(record.backend_host) and record.cache != "hit"
    if error:
        record.error_source = _SIDES.get(error, "backend")
    elif status == 0:
        record.error_source = "backend"
        record.error_message = "status 0: the origin did not answer in time"
    elif status and was_called and status != 499:
        record.backend_status = status
        record.error_source = "backend" if status >= 400 else ""
    elif status and status >= 400:
        record.error_source = "gateway"
    # the column is there and empty: no origin was asked
    is_told = "originname" in flat or "backendhostname" in flat
    if is_told and not was_called and not error:
        record.attempts = 0
    settle(record)


ADAPTER = Adapter(
    name="azure-front-door",
    product="Azure Front Door",
    reader=Reader(is_row=_is_row, read_row=read_named(_read)),
    source="https://learn.microsoft.com/azure/frontdoor/monitor-front-door",
)
