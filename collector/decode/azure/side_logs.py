"""
What API Management logs about a request beside its gateway log: WebSocket events, LLM usage, calls
of MCP servers.

All carry the correlation id of the request they add to. One connection or completion makes many
rows; those of one body become one record.

Source: azure-monitor-docs reference/tables/apimanagementwebsocketconnectionlogs.md,
apimanagementgatewayllmlog.md and apimanagementgatewaymcplog.md; azure-docs
api-management-howto-llm-logs.md (large messages are split into entries with sequence numbers);
OpenTelemetry semantic conventions for the gen_ai and mcp names.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from collector.decode.azure.rows import FlatRow, raw_text, require_start, resource_name
from collector.decode.fields import read_bool, read_int, read_text, require_text
from collector.decode.outcome import settle
from collector.decode.quality import STREAMING
from collector.model import GatewayRecord, Id

WEBSOCKET_LOG = "websocket-log"
LLM_LOG = "llm-log"
MCP_LOG = "mcp-log"
_MAX_EVENTS = 50
_EVENTS = "websocket.events"
_TOKENS = (
    ("gen_ai.usage.input_tokens", "prompttokens"),
    ("gen_ai.usage.output_tokens", "completiontokens"),
    ("gen_ai.usage.total_tokens", "totaltokens"),
)
_TEXTS = (
    ("gen_ai.request.model", "modelname"),
    ("gen_ai.deployment", "deploymentname"),
    ("gen_ai.api_version", "apiversion"),
    ("gen_ai.response.id", "requestid"),
)
_MCP_TEXTS = (
    ("mcp.method.name", "method"),
    ("gen_ai.tool.name", "toolname"),
    ("mcp.server.name", "servername"),
    ("mcp.session.id", "sessionid"),
    ("mcp.protocol.version", "protocolversion"),
    ("mcp.client.name", "clientname"),
    ("error.type", "errortype"),
    ("mcp.error", "error"),
)
# Prompts and completions are what people said to a model: no timeline needs them.
_PRIVATE = frozenset({"requestmessages", "responsemessages"})


def read_websocket_event(flat: FlatRow, gateway: str) -> GatewayRecord:
    """
    Return the record of one event in the life of a WebSocket connection.

    Raises:
        FieldError: it has no correlation id or no time.
    """
    record = _side_record(flat, gateway, WEBSOCKET_LOG, "websocket")
    error = read_text(flat, "error")
    event = {
        "at_ns": record.start_ns,
        "event": read_text(flat, "eventname"),
        "from": read_text(flat, "source"),
        "to": read_text(flat, "destination"),
        "error": error,
    }
    record.error_message = error
    if error:
        record.error_source = read_text(flat, "source").lower()
    settle(record, is_failed=bool(error))
    record.attributes = {_EVENTS: orjson.dumps([event]).decode()}
    record.quality = (STREAMING,)
    return record


def read_llm_usage(flat: FlatRow, gateway: str) -> GatewayRecord:
    """
    Return the record of one LLM log entry: model and tokens, without prompt and completion.

    Raises:
        FieldError: it has no correlation id or no time, or a token count is no number.
    """
    record = _side_record(flat, gateway, LLM_LOG, "llm")
    attributes = {}
    for name, column in _TOKENS:
        if (tokens := read_int(flat, column)) is not None:
            attributes[name] = str(tokens)
    attributes |= _texts(flat, _TEXTS)
    if (is_stream := read_bool(flat, "isstreamcompletion")) is not None:
        attributes["gen_ai.is_stream"] = "true" if is_stream else "false"
    record.attributes = attributes
    return record


def read_mcp_call(flat: FlatRow, gateway: str) -> GatewayRecord:
    """
    Return the record of one call of an MCP server: which method and tool, and its error.

    Raises:
        FieldError: it has no correlation id or no time.
    """
    record = _side_record(flat, gateway, MCP_LOG, "http")
    record.attributes = _texts(flat, _MCP_TEXTS)
    return record


def merge_side_logs(records: Sequence[GatewayRecord]) -> list[GatewayRecord]:
    """Return *records* with the side logs of one request made one, at the place of the first."""
    merged: list[GatewayRecord] = []
    firsts: dict[tuple[str, str], GatewayRecord] = {}
    for record in records:
        if record.source not in (WEBSOCKET_LOG, LLM_LOG, MCP_LOG):
            merged.append(record)
            continue
        key = (record.source, record.record_id)
        if key not in firsts:
            firsts[key] = record
            merged.append(record)
        elif record.source == WEBSOCKET_LOG:
            _add_event(firsts[key], record)
        else:  # an MCP call has no counts
            _add_usage(firsts[key], record)
    return merged


def _texts(flat: FlatRow, columns: Sequence[tuple[str, str]]) -> dict[str, str]:
    return {name: text for name, column in columns if (text := read_text(flat, column))}


def _side_record(flat: FlatRow, gateway: str, source: str, kind: str) -> GatewayRecord:
    correlation_id = require_text(flat, "correlationid")
    start = require_start(flat, "timegenerated", "time")
    private = [name for name in flat.original if name.lower() in _PRIVATE]
    return GatewayRecord(
        gateway=gateway,
        record_id=correlation_id.lower(),
        start_ns=start.ns,
        instance=resource_name(read_text(flat, "resourceid")),
        source=source,
        kind=kind,
        ids=(Id("apim_correlation_id", correlation_id),),
        region=read_text(flat, "region", "location"),
        raw=raw_text(flat, without=private),
    )


def _add_event(first: GatewayRecord, other: GatewayRecord) -> None:
    events: list[dict[str, Any]] = orjson.loads(first.attributes[_EVENTS])
    events += orjson.loads(other.attributes[_EVENTS])
    events.sort(key=lambda event: event["at_ns"])
    end_ns = max(first.start_ns + (first.duration_ns or 0), other.start_ns)
    first.start_ns = min(first.start_ns, other.start_ns)
    first.duration_ns = end_ns - first.start_ns
    first.is_error = first.is_error or other.is_error
    first.error_source = first.error_source or other.error_source
    first.error_message = first.error_message or other.error_message
    if len(events) > _MAX_EVENTS:  # how it began and how it ended says most
        events = events[: _MAX_EVENTS // 2] + events[-_MAX_EVENTS // 2 :]
    first.attributes = {_EVENTS: orjson.dumps(events).decode()}


def _add_usage(first: GatewayRecord, other: GatewayRecord) -> None:
    attributes = {**other.attributes, **first.attributes}
    for name, _ in _TOKENS:
        # the counts are of the whole completion, repeated or on one of its entries
        counts = [int(r.attributes[name]) for r in (first, other) if name in r.attributes]
        if counts:
            attributes[name] = str(max(counts))
    first.attributes = attributes
    first.start_ns = min(first.start_ns, other.start_ns)
