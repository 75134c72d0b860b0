"""
Azure Application Gateway access logs, v1 and v2.

Source: azure-monitor-docs reference/tables/agwaccesslogs.md; azure-docs application-gateway,
"Diagnostic logs" (access log, v1 and v2 columns).
Times: the record's time is when it was written, to the second mostly, and its meaning is not
documented: it is taken as the end, the start is computed (`reading.time`). `timeTaken` is the
whole, from the client's first byte to the last byte sent, so it holds the client's sending and
receiving: in seconds on v2, in ms on v1 (`reading.timeTaken` keeps which was seen).
`serverResponseLatency` is the backend in seconds; `clientResponseTime` is the sending of the
response to the client. The gateway does not retry what reached a backend.
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
    is_missing,
    read_float,
    read_int,
    read_ns_from_ms,
    read_ns_from_s,
    read_status,
    read_text,
    split_times,
    split_tries,
    write_raw,
)
from collector.decode.gateways import Adapter
from collector.decode.outcome import settle
from collector.decode.quality import Profile, check
from collector.decode.reading import Reader
from collector.decode.urls import split_target
from collector.model import GatewayRecord, Id

PROFILE = Profile(stamped="end", are_tries_included=False)

_MARKS = frozenset(("transactionid", "httpstatus", "timetaken", "serverrouted", "category"))
_CATEGORIES = frozenset({"", "applicationgatewayaccesslog"})
_FIREWALL = Firewall(
    gateway="azure-application-gateway",
    categories=frozenset({"applicationgatewayfirewalllog"}),
    rule_column="ruleid",
    id_columns=("transactionid",),
    id_kind="transaction_id",
)
_OTHER_CATEGORIES = frozenset({"applicationgatewayperformancelog"})
# Columns that only v2 writes; a v1 record has its ids in the query instead.
_V2_COLUMNS = ("transactionid", "serverresponselatency", "serverrouted", "errorinfo")
_V1_MARK = "X-AzureApplicationGateway-"
_NO_ERROR = "ERRORINFO_NO_ERROR"
_CLIENTS_ERROR = "ERRORINFO_CLIENT_"
# Of a backend that was called, though the line does not name it.
_ERRORS_OF_CALLS = ("ERRORINFO_UPSTREAM_TIMED_OUT", "ERRORINFO_UPSTREAM_CLOSED_CONNECTION")
_ATTRIBUTES = {
    "agw.listener": "listenername",
    "agw.rule": "rulename",
    "agw.backend_setting": "backendsettingname",
    "agw.waf_mode": "wafmode",
    "agw.waf_evaluation_time_s": "wafevaluationtime",
    "agw.server_connect_time_s": "serverconnecttime",
    "agw.server_header_time_s": "serverheadertime",
    "tls.protocol": "sslprotocol",
    "user_agent.original": "useragent",
}
_TEXTS = {
    "instance": "instanceid",
    "source": "resourceid",
    "method": "httpmethod",
    "scheme": "sslenabled",
    "host": "originalhost",
    "protocol": "httpversion",
    "api": "rulename",
    "client_address": "clientip",
    "backend_host": "serverrouted",
    "backend_id": "backendpoolname",
    "error_reason": "errorinfo",
}
_COLUMNS = (*_TEXTS.values(), *_ATTRIBUTES.values())
_SCHEMES = {"on": "https", "off": "http"}


def _is_row(row: Row) -> bool:
    return has_column(row, _MARKS)


def _read(flat: FlatRow) -> GatewayRecord:
    category = read_text(flat, "category").lower()
    if category in _OTHER_CATEGORIES:
        raise NotARequest("category", f"{category} does not describe one request")
    if _FIREWALL.wrote(flat):
        return read_firewall_row(_FIREWALL, flat)
    if category not in _CATEGORIES:
        raise FieldError("category", f"{category!r} is not an Application Gateway access log")
    require_columns(flat, "timeTaken", "httpStatus")
    return _build(flat)


def _build(flat: FlatRow) -> GatewayRecord:
    stamp = require_start(flat, "timegenerated", "time", "timestamp")
    is_v1 = _is_v1(flat)
    duration_ns = (read_ns_from_ms if is_v1 else read_ns_from_s)(flat, "timetaken")
    raw = write_raw(flat.original)
    transaction_id = read_text(flat, "transactionid")
    found = read_columns(flat, _COLUMNS)
    texts: dict[str, Any] = dict(zip(_TEXTS, found, strict=False))
    texts["source"] = resource_name(texts["source"])
    # the gateway is named by its resource, not by one of its machines
    machine, texts["instance"] = texts["instance"], texts["source"] or texts["instance"]
    texts["scheme"] = _SCHEMES.get(texts["scheme"].lower(), "")
    texts["host"] = texts["host"] or read_text(flat, "host")
    texts["api"] = texts["api"] or read_text(flat, "listenername")
    servers = split_tries(texts["backend_host"])
    texts["backend_host"] = servers[-1] if servers else ""
    attributes = _attributes(found[len(_TEXTS) :], is_v1)
    if machine:
        attributes["agw.instance"] = machine
    record = GatewayRecord(
        gateway="azure-application-gateway",
        record_id=transaction_id or _log_id(flat) or derive_record_id(raw),
        start_ns=stamp.ns - (duration_ns or 0),
        ids=(Id("transaction_id", transaction_id),) if transaction_id else (),
        duration_ns=duration_ns,
        client_ns=None if is_v1 else read_ns_from_s(flat, "clientresponsetime"),
        backend_ns=_read_latency(flat),
        status=read_status(flat, "httpstatus"),
        backend_status=read_status(_last_of(flat, "serverstatus"), "serverstatus"),
        request_bytes=read_int(flat, "receivedbytes"),
        response_bytes=read_int(flat, "sentbytes"),
        attributes=attributes,
        raw=raw,
        **texts,
    )
    if len(servers) > 1:
        record.attempts = len(servers)
    _read_target(record, attributes, flat)
    _set_error(record)
    record.quality = check(record, PROFILE, start_resolution_ns=stamp.resolution_ns)
    return record


def _read_latency(flat: FlatRow) -> int | None:
    """Return the time of the backend, and the sum where one server after another was tried."""
    value = flat.get("serverresponselatency")
    if value.__class__ is not str or "," not in value:
        return read_ns_from_s(flat, "serverresponselatency")
    tries = [
        read_ns_from_s({"serverresponselatency": each}, "serverresponselatency")
        for each in split_times(value)
    ]
    known = [each for each in tries if each is not None]
    return sum(known) if known else None


def _last_of(flat: FlatRow, name: str) -> Row:
    value = flat.get(name)
    if not isinstance(value, str) or "," not in value:
        return flat
    return {name: (split_tries(value) or ("",))[-1]}


def _is_v1(flat: FlatRow) -> bool:
    """Tell the two SKUs apart: their records have the same category and other units."""
    # the legacy table has every column for every row: only a value tells
    for column in _V2_COLUMNS:
        if not is_missing(flat.get(column)):
            return False
    if _V1_MARK in read_text(flat, "requestquery"):
        return True
    if read_text(flat, "instanceid").startswith("ApplicationGatewayRole_IN"):
        return True
    # neither mark: whole numbers are milliseconds, a second with decimals is v2's
    taken = read_float(flat, "timetaken")
    return taken is not None and taken == int(taken)


def _v1_parts(flat: FlatRow) -> dict[str, str]:
    """Return what v1 appends to the logged query: LOG-ID, SERVER-ROUTED, SERVER-STATUS."""
    pairs = (part.partition("=") for part in read_text(flat, "requestquery").split("&"))
    return {
        name.removeprefix(_V1_MARK): value
        for name, _, value in pairs
        if name.startswith(_V1_MARK) or name in ("SERVER-ROUTED", "SERVER-STATUS")
    }


def _log_id(flat: FlatRow) -> str:
    return _v1_parts(flat).get("LOG-ID", "")


def _read_target(record: GatewayRecord, attributes: dict[str, str], flat: FlatRow) -> None:
    original = split_target(read_text(flat, "originalrequesturiwithargs"))
    sent = split_target(read_text(flat, "requesturi"))
    record.path = original.path or sent.path
    record.backend_path = sent.path if record.backend_host else ""
    query = original.query or sent.query or read_text(flat, "requestquery")
    if _V1_MARK in query:
        parts = _v1_parts(flat)
        record.backend_host = parts.get("SERVER-ROUTED", "")
        record.backend_path = sent.path if record.backend_host else ""
        status = {"SERVER-STATUS": parts.get("SERVER-STATUS")}
        record.backend_status = read_status(status, "SERVER-STATUS")
        is_hit = parts.get("CACHE-HIT") == "1"
        record.cache = "hit" if is_hit else ""
    elif query:
        attributes["url.query"] = query


def _set_error(record: GatewayRecord) -> None:
    if record.error_reason == _NO_ERROR:
        record.error_reason = ""
    status = record.status
    was_called = record.error_reason in _ERRORS_OF_CALLS
    if status and not (record.backend_host or was_called) and record.backend_status is None:
        record.attempts = 0
    if status and status >= 400:
        is_backend = record.backend_status is not None and record.backend_status >= 400
        record.error_source = "backend" if is_backend else "gateway"
        if record.error_reason.startswith(_CLIENTS_ERROR):
            record.error_source = "client"
    # 0 and 499: the client closed the connection before the answer
    settle(record)


def _attributes(texts: Sequence[str], is_v1: bool) -> dict[str, str]:
    attributes = {name: text for name, text in zip(_ATTRIBUTES, texts, strict=True) if text}
    attributes["reading.timeTaken"] = "ms" if is_v1 else "s"
    attributes["reading.time"] = "end"
    return attributes


ADAPTER = Adapter(
    name="azure-application-gateway",
    product="Azure Application Gateway",
    reader=Reader(is_row=_is_row, read_row=read_named(_read)),
    source="https://learn.microsoft.com/azure/azure-monitor/reference/tables/agwaccesslogs",
)
