"""
How a request ended, by the same rules for every gateway: failed, left by its client, or answered.

A request is an error if its HTTP status is 500 or more, or its gRPC status is another one than OK
and CANCELLED whatever the HTTP status; without a status, if the gateway names an error. Refusals
(4xx) are answers, and a client that went away is nobody's error.

Source: gRPC status codes (grpc/grpc doc/statuscodes.md) and gRPC over HTTP/2 (trailers in a 200);
nginx 499; Envoy `response_code` 0; OpenTelemetry semantic conventions for `rpc.grpc.status_code`.
"""

import re
from collections.abc import Mapping

from collector.attributes import GRPC_MESSAGE, GRPC_STATUS
from collector.model import GatewayRecord

GRPC_CODES = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
"""Names of the gRPC status codes, by number."""

GRPC_FAULTS = frozenset({2, 4, 12, 13, 14, 15})
"""The codes that are a server's fault; the others are an answer to what was asked."""

GRPC_CANCELLED = 1
"""The code of a call that its caller gave up: nobody's error."""

CLIENT_CLOSED = 499
_SWITCHED = 101
# "Unavailable", "UNAVAILABLE" and "DeadlineExceeded", "DEADLINE_EXCEEDED" are one name each.
_CODES = {name.replace("_", ""): number for number, name in enumerate(GRPC_CODES)}
_CODES["CANCELED"] = GRPC_CANCELLED
_CACHE = {
    "hit": "hit",
    "stale": "hit",
    "true": "hit",
    "miss": "miss",
    "expired": "miss",
    "false": "miss",
}
_LEFT = re.compile(
    r"client.?(connection|closed|abort|disconnect)|downstream.*(disconnect|reset|terminat)", re.I
)


def read_grpc_status(text: str) -> int | None:
    """Return the code that a number or a name of any spelling stands for, `None` for neither."""
    word = text.strip().replace("_", "").replace(" ", "").upper()
    if word.isdecimal() and word.isascii() and len(word) < 4:
        return int(word)
    return _CODES.get(word)


def read_cache(text: str) -> str:
    """Return `hit` or `miss` for what a proxy says of its cache, "" when it was not asked."""
    return _CACHE.get(text.lower(), "")


def describe_grpc(code: int) -> str:
    """Return a code for people: `gRPC status 14 (UNAVAILABLE)`."""
    name = f" ({GRPC_CODES[code]})" if code < len(GRPC_CODES) else ""
    return f"gRPC status {code}{name}"


def note_grpc(record: GatewayRecord, status: str, message: str = "") -> None:
    """Note the gRPC status of an answer, as header, trailer or field has it, if it is one."""
    code = read_grpc_status(status)
    if code is None:
        return
    told = {GRPC_STATUS: str(code)}
    if message:
        told[GRPC_MESSAGE] = message
    record.attributes = {**record.attributes, **told}
    if record.kind == "http":
        record.kind = "grpc"


def grpc_status_of(attributes: Mapping[str, str]) -> int | None:
    """Return the gRPC status that `note_grpc` noted."""
    return read_grpc_status(attributes[GRPC_STATUS]) if GRPC_STATUS in attributes else None


def is_grpc_error(code: int | None) -> bool:
    """Tell whether a gRPC status is an error: known, and another one than OK and CANCELLED."""
    return code not in (None, 0, GRPC_CANCELLED)


def settle(record: GatewayRecord, *, is_failed: bool = False) -> None:
    """
    Set `is_error` by the rules above, and say of an answer that nobody got whose fault it was.

    Status 0 is what products write when no response was sent: it becomes `None`, and unless the
    gateway blames somebody else, the client had gone; 499 says so outright. *is_failed*: the
    gateway itself says that the request failed, which counts where its status does not show it.
    `attempts` becomes 0 where what is known shows that no backend was called.
    """
    if record.attempts is None and _was_kept_from_backend(record):
        record.attempts = 0
    if record.status == 0:
        record.status = None
        if not record.error_source and not record.error_reason:
            record.error_source = "client"
    elif record.status == CLIENT_CLOSED:
        record.error_source = "client"
    record.is_error = _counts(record, is_failed=is_failed)


def _was_kept_from_backend(record: GatewayRecord) -> bool:
    """
    Tell whether a gateway answered by itself: from its cache, by refusing, or without a call.

    That a product does not log its backend says nothing of it.
    """
    if record.cache == "hit":
        return True
    if record.backend_status is not None or record.backend_host or (record.backend_ns or 0) > 0:
        return False
    if record.backend_ns == 0:
        return True
    is_refusal = record.status is not None and 400 <= record.status < 500
    is_own = record.error_source == "gateway" and record.error_reason != ""
    return is_refusal and (is_own or record.error_section.lower() == "inbound")


def has_client_left(record: GatewayRecord) -> bool:
    """Tell whether the client went away before it had the answer."""
    if record.status == CLIENT_CLOSED:
        return True
    # the client that a gateway is to its backend may lose a connection as well
    if record.error_source != "backend" and _LEFT.search(record.error_reason):
        return True
    # The answer to a WebSocket's handshake is not the end of it.
    return record.status in (None, _SWITCHED) and record.error_source == "client"


def _counts(record: GatewayRecord, *, is_failed: bool) -> bool:
    if has_client_left(record):
        return False
    if is_grpc_error(grpc_status_of(record.attributes)):
        return True
    if record.status is None:
        told = (record.error_source, record.error_reason, record.error_message)
        return is_failed or any(told)
    return record.status >= 500 or (is_failed and record.status < 400)
