"""
Text that API Management's self-hosted gateway writes: on stdout by default, and to a local syslog.

Both are the names and values of its JSON log on one line. On stdout `name: value` behind a level,
a time and the log's name, with texts in quotation marks; for syslog `name=value`, with texts in
them twice. Lines under another name than GatewayLogs are events.

Source: azure-docs api-management self-hosted-gateway-settings-reference.md (`telemetry.logs.std`,
`telemetry.logs.local`) and how-to-configure-local-metrics-logs.md.
"""

import json
import re
from typing import Any

import orjson

_COLOUR = re.compile(r"\x1b\[[0-9;]{0,8}m")
_HEAD = re.compile(
    r"\[(?:Trace|Debug|Info|Informational|Warn|Warning|Error|Critical|Fatal)\] \S{10,40} "
    r"\[(?P<name>[\w.-]{1,80})\]",
    re.ASCII | re.IGNORECASE,
)
_NAME = re.compile(r"(?:^|[,\s])(?P<name>[A-Za-z]\w{0,60})(?P<sign>:\s?|=)", re.ASCII)
# Values behind a colon have commas between them, those behind an equals sign blanks as well.
_BARE = {True: re.compile(r"[^,\s]*"), False: re.compile(r"[^,]*")}
_LOG = "GatewayLogs"
_SIGN = "isRequestSuccess"
_LONGEST_LINE = 262_144
_decoder = json.JSONDecoder()


def is_line(line: str) -> bool:
    """Tell whether *line* is text of a self-hosted gateway, a request or an event."""
    text = _COLOUR.sub("", line[:200])
    return _HEAD.match(text) is not None or (
        not text.startswith(("{", "[")) and f"{_SIGN}=" in line and "correlationId=" in line
    )


def read_event_name(line: str) -> str:
    """Return the name under which an event was written, "" for a request."""
    head = _HEAD.match(_COLOUR.sub("", line[:200]))
    return head["name"] if head is not None and head["name"] != _LOG else ""


def parse_line(line: str) -> dict[str, Any]:
    """Return the names and values of *line*; what cannot be read ends it."""
    text = _COLOUR.sub("", line[:_LONGEST_LINE])
    head = _HEAD.match(text)
    at = head.end() if head is not None else 0
    found: dict[str, Any] = {}
    while name := _NAME.search(text, at):
        value, at = _read_value(text, name.end(), _BARE[name["sign"] == "="])
        found[name["name"]] = value
    return found


def _read_value(text: str, at: int, pattern: re.Pattern[str]) -> tuple[Any, int]:
    if text[at : at + 1] in ('"', "{", "["):
        try:
            _, end = _decoder.raw_decode(text, at)
            # unlike json it refuses lone surrogates, which UTF-8 cannot spell
            value = orjson.loads(text[at:end])
        except (ValueError, RecursionError):
            pass
        else:
            return _without_quotes(value), end
    bare = pattern.match(text, at)
    assert bare is not None
    return {"true": True, "false": False}.get(bare[0].strip(), bare[0].strip()), bare.end()


def _without_quotes(value: Any) -> Any:
    """Return a text that was put into quotation marks twice without the second ones."""
    if isinstance(value, str) and value[:1] == '"' and value[-1:] == '"':
        try:
            return orjson.loads(value)
        except ValueError:
            return value
    return value
