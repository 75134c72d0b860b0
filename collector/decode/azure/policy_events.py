"""
What a policy of API Management writes: an expression of its author's own.

Three shapes come from Microsoft's articles and are read as they are: five values separated by
commas, an object of the author's names, and whole HTTP messages behind `request:` or `response:`
and an id. Of an object the names decide, whatever their case and punctuation, and nested objects
are laid flat (`context.Request.Method`); a shape with other names is for a mapping.

Source: azure-docs api-management log-to-eventhub-policy.md, api-management-howto-log-event-hubs.md,
api-management-log-to-eventhub-sample.md, api-management-policy-expressions.md (`context`);
send-one-way-request-policy.md.
"""

import re
from collections.abc import Mapping
from typing import Any

from collector.decode.aliases import Aliases, flatten
from collector.decode.fields import Row
from collector.decode.timestamps import is_american_time

FACTS = Aliases(
    {
        "requestid": ("context_request_id", "apim_request_id", "message_id", "correlation_id"),
        # `context.Timestamp` is when the request came in
        "startedat": ("start_time", "start", "timestamp", "request_time", "request_timestamp"),
        "eventtime": ("ts", "time", "datetime", "date", "utc_now", "log_time", "logged_at"),
        "elapsedms": (
            *("elapsed", "elapsed_milliseconds", "elapsed_time", "elapsed_total_milliseconds"),
            *("duration_ms", "duration", "response_time_ms", "response_time", "latency_ms"),
            *("latency", "total_milliseconds", "total_time", "time_taken", "processing_time"),
        ),
        "phase": (),
        "status": (
            *("status_code", "response_code", "response_status", "response_status_code"),
            *("http_status", "http_status_code"),
        ),
        "method": ("http_method", "request_method", "verb", "operation_method"),
        "url": (
            *("request_url", "original_url", "path", "request_path", "uri", "request_uri"),
            "url_path",
        ),
        "host": ("request_host", "url_host"),
        "api": ("api_name", "api_id"),
        "revision": ("api_revision",),
        "operation": ("operation_name", "operation_id"),
        "product": ("product_name", "product_id"),
        "subscription": ("subscription_name", "subscription_id", "identity"),
        "user": ("user_id", "user_name", "user_email"),
        "clientip": (
            *("request_ip", "ip_address", "client_ip_address", "caller_ip", "source_ip", "ip"),
        ),
        "service": ("service_name", "deployment_service_name", "apim_service"),
        "region": ("deployment_region", "location"),
        "backendurl": ("service_url", "backend_request_url"),
        "backendstatus": ("backend_status_code", "backend_response_code"),
        "backendms": ("backend_time", "backend_elapsed_ms", "backend_duration_ms"),
        "traceparent": (),
        "backendtraceparent": ("outgoing_traceparent",),
        "xrequestid": (),
        "prompttokens": ("input_tokens",),
        "completiontokens": ("output_tokens",),
        "totaltokens": (),
        "modelname": ("model", "deployment", "deployment_id"),
        "requestsize": ("request_body_size", "request_length"),
        "responsesize": ("response_body_size", "response_length"),
        "errorreason": ("last_error_reason",),
        "errormessage": ("last_error_message", "error"),
        "errorsource": ("last_error_source",),
        "errorsection": ("last_error_section",),
        "errorscope": ("last_error_scope",),
    },
    prefixes=(
        *("context.", "request.", "response.", "context.request.", "context.response."),
        *("context.api.", "context.operation.", "context.deployment.", "context.product."),
        *("headers.", "request.headers.", "context.request.headers.", "request.originalurl."),
    ),
)
# What the logs of others have that look like such an object.
_OF_OTHERS = frozenset(
    (
        *("latencies", "upstream_uri", "requestTimeEpoch", "resourcePath", "routeKey"),
        *("integrationLatency", "responseLatency", "extendedRequestId", "response_flags"),
        *("upstream_cluster", "upstream_addr", "upstream_response_time", "request_length", "vhost"),
        *("trackingId", "transactionId", "operation_Id", "OperationId", "itemType"),
        "client.received.start.timestamp",
    )
)
_OWN = ("api", "operation", "service", "product", "subscription", "phase", "clientip", "elapsedms")

_NESTED = ("context", "request", "response")
_GUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_ADDRESS = re.compile(
    r"\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?|[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){2,7}", re.ASCII
)
_VERB = re.compile(r"GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|TRACE", re.ASCII)
_ISO_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d", re.ASCII)
_MESSAGE = re.compile(
    r"(?P<side>request|response):(?P<id>[\w-]{1,64})\r?\n"
    r"(?:(?P<method>[A-Z]{3,10}) (?P<url>\S{1,8192}) HTTP/[\d.]+|"
    r"HTTP/[\d.]+ (?P<status>\d{3})[^\n]*)"
    r"\r?\n(?P<headers>(?:[^\r\n]+\r?\n)*)",
    re.ASCII,
)
_MOST_VALUES = 40


def is_event(row: Row) -> bool:
    """Tell whether *row* may be a policy's object: an id, a time and something of a request."""
    if not _OF_OTHERS.isdisjoint(row):
        return False
    is_nested = any(row.get(name).__class__ is dict for name in _NESTED)
    return _has_enough(FACTS.keys(flatten(row) if is_nested else row))


def read_facts(row: Row) -> dict[str, Any] | None:
    """Return the facts of a policy's object under the names of `FACTS`, `None` if it is none."""
    if not _OF_OTHERS.isdisjoint(row):
        return None
    flat = flatten(row) if dict in map(type, row.values()) else row
    if not _has_enough(FACTS.keys(flat)):
        return None
    return {name: value for name, value in FACTS.resolve(flat).items() if value is not None}


def _has_enough(keys: Mapping[str, tuple[str, ...]]) -> bool:
    has_time = "startedat" in keys or "eventtime" in keys
    return "requestid" in keys and has_time and any(name in keys for name in _OWN)


def is_text(text: str) -> bool:
    """Tell whether *text* is what the policies of Microsoft's articles write that is no JSON."""
    return _MESSAGE.match(text) is not None or parse_values(text) is not None


def parse_values(line: str) -> dict[str, Any] | None:
    """
    Return the facts of values separated by commas, or `None` when it is no such line.

    The documented order is time, service, request id, client's address, operation. What tells
    itself apart (a GUID, an address, a verb, a URL) is known wherever it stands; a number is not.
    """
    if "," not in line or line[:1] in ("{", "[", "<"):
        return None
    values = [value.strip().strip('"') for value in line.split(",", _MOST_VALUES)]
    facts: dict[str, Any] = {}
    words: list[str] = []
    for value in values:
        name = _name_of(value)
        if name and name not in facts:
            facts[name] = value
        elif value and not value.replace(".", "", 1).isdecimal():
            words.append(value)
    if "requestid" not in facts or "eventtime" not in facts:
        return None
    if words and "service" not in facts:
        facts["service"] = words.pop(0)
    if words:
        facts["operation"] = words[0]
    return facts


def _name_of(value: str) -> str:
    if _GUID.fullmatch(value):
        return "requestid"
    if is_american_time(value) or _ISO_TIME.match(value):
        return "eventtime"
    if _ADDRESS.fullmatch(value):
        return "clientip"
    if _VERB.fullmatch(value):
        return "method"
    if value.startswith(("/", "http://", "https://")):
        return "url"
    return "service" if value.endswith(".azure-api.net") else ""


def parse_message(text: str) -> dict[str, Any] | None:
    """
    Return the facts of an HTTP message behind its marker line, or `None` when it is none.

    Request and response are two events under one id. Neither says when it was.
    """
    match = _MESSAGE.match(text)
    if match is None:
        return None
    headers: dict[str, str] = {}
    for line in match["headers"].splitlines():
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    facts: dict[str, Any] = {"requestid": match["id"], "headers": headers}
    if match["status"]:
        facts["status"] = match["status"]
    else:
        facts.update(method=match["method"], url=match["url"], host=headers.get("host", ""))
    return facts
