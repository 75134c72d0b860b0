"""
Azure Application Gateway for Containers access logs.

Source: azure-docs application-gateway/for-containers/diagnostics.md (category
TrafficControllerAccessLog); azure-monitor-docs reference/tables/agcaccesslogs.md.
Times: the record's time has ms and no documented meaning: it is taken as the end, the start is
computed (`reading.time`). `timeTaken` is the whole in ms, with the client's sending and receiving;
`backendTimeTaken` is the backend in ms. When that is "-", `backendResponseLatency` stands in, which
ends at the backend's first byte (`reading.backend` keeps which was seen).
"""

from collector.decode.azure.firewall import Firewall, read_firewall_row
from collector.decode.azure.rows import (
    FlatRow,
    has_column,
    read_named,
    require_start,
    resource_name,
)
from collector.decode.fields import (
    FieldError,
    Row,
    read_int,
    read_ns_from_ms,
    read_status,
    read_text,
    read_texts,
    require_text,
    write_raw,
)
from collector.decode.gateways import Adapter
from collector.decode.outcome import settle
from collector.decode.quality import Profile, check
from collector.decode.reading import Reader
from collector.decode.urls import split_target
from collector.model import GatewayRecord, Id

PROFILE = Profile(stamped="end")

_MARKS = frozenset(("trackingid", "category"))
_CATEGORIES = frozenset({"", "trafficcontrolleraccesslog"})
_FIREWALL = Firewall(
    gateway="azure-agc",
    categories=frozenset({"trafficcontrollerfirewalllog"}),
    rule_column="ruleid",
    id_columns=("trackingid",),
    id_kind="tracking_id",
)
_ATTRIBUTES = {
    "agc.frontend": "frontendname",
    "agc.frontend_port": "frontendport",
    "tls.protocol": "tlsprotocol",
    "user_agent.original": "useragent",
}


def _is_row(row: Row) -> bool:
    return has_column(row, _MARKS)


def _read(flat: FlatRow) -> GatewayRecord:
    category = read_text(flat, "category").lower()
    if _FIREWALL.wrote(flat):
        return read_firewall_row(_FIREWALL, flat)
    if category not in _CATEGORIES:
        reason = f"{category!r} is not an Application Gateway for Containers access log"
        raise FieldError("category", reason)
    tracking_id = require_text(flat, "trackingid")
    stamp = require_start(flat, "timegenerated", "time")
    duration_ns = read_ns_from_ms(flat, "timetaken")
    client_address = read_text(flat, "clientip").rpartition(":")
    status = read_status(flat, "httpstatuscode")
    record = GatewayRecord(
        gateway="azure-agc",
        record_id=tracking_id,
        start_ns=stamp.ns - (duration_ns or 0),
        source=resource_name(read_text(flat, "resourceid")),
        # the tracking id is what the client is sent as x-request-id
        ids=(Id("tracking_id", tracking_id), Id("x_request_id", tracking_id)),
        duration_ns=duration_ns,
        method=read_text(flat, "httpmethod"),
        host=read_text(flat, "hostname"),
        protocol=read_text(flat, "httpversion"),
        status=status,
        region=read_text(flat, "location"),
        client_address=client_address[0] or client_address[2],
        backend_host=read_text(flat, "backendhost", "backendip"),
        request_bytes=read_int(flat, "requestbodybytes"),
        response_bytes=read_int(flat, "responsebodybytes"),
        raw=write_raw(flat.original),
    )
    record.api = read_text(flat, "frontendname")
    target = split_target(read_text(flat, "requesturi"))
    record.path = target.path
    record.attributes = _attributes(flat, target.query)
    _read_backend(record, flat)
    settle(record)
    record.quality = check(record, PROFILE, start_resolution_ns=stamp.resolution_ns)
    return record


def _read_backend(record: GatewayRecord, flat: FlatRow) -> None:
    reading = "backendTimeTaken"
    record.backend_ns = read_ns_from_ms(flat, "backendtimetaken")
    if record.backend_ns is None:
        reading = "backendResponseLatency"
        record.backend_ns = read_ns_from_ms(flat, "backendresponselatency")
    if record.backend_ns is not None:
        record.attributes = {**record.attributes, "reading.backend": reading}
    elif record.status and not record.backend_host:
        record.attempts = 0
    if record.status is not None and record.status >= 400 and record.backend_ns is None:
        record.error_source = "gateway"


def _attributes(flat: FlatRow, query: str) -> dict[str, str]:
    attributes = {**read_texts(flat, _ATTRIBUTES), "reading.time": "end"}
    if query:
        attributes["url.query"] = query
    return attributes


ADAPTER = Adapter(
    name="azure-agc",
    product="Azure Application Gateway for Containers",
    reader=Reader(is_row=_is_row, read_row=read_named(_read)),
    source="https://learn.microsoft.com/azure/application-gateway/for-containers/diagnostics",
)
