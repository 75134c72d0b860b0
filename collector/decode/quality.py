"""
Whether a gateway's times can be true.

Each adapter states in a `Profile` what its product's times mean; `check` holds every record against
it and returns flags. Nothing is corrected: a flagged record keeps its values, and
`LEFT_OUT_OF_PERCENTILES` says which flags keep a record out of latency statistics. Only what is no
duration at all, an epoch or an unset clock, is taken back: it would stretch the request over years.

Source: Azure api-management-self-hosted-gateway#324 (backendTime 8659 > totalTime 4348),
Kong#8637 (gateway time holds failed tries), Kong#4785 (upstream time holds the body upload).
"""

from dataclasses import dataclass
from typing import Literal

from collector.decode.urls import is_tunnel
from collector.model import GatewayRecord
from collector.timestamps import NS_PER_DAY, NS_PER_S

BACKEND_GT_TOTAL = "BACKEND_GT_TOTAL"
CLIENT_TIME_MISSING = "CLIENT_TIME_MISSING"
RETRY_INCLUDED = "RETRY_INCLUDED"
BODY_UPLOAD_INCLUDED = "BODY_UPLOAD_INCLUDED"
SECOND_GRANULARITY = "SECOND_GRANULARITY"
NEGATIVE_SELF = "NEGATIVE_SELF"
CLOCK_FUTURE = "CLOCK_FUTURE"
STREAMING = "STREAMING"
TIME_OF_ARRIVAL = "TIME_OF_ARRIVAL"
ABSURD_DURATION = "ABSURD_DURATION"
DATE_ORDER_ASSUMED = "DATE_ORDER_ASSUMED"

MEANINGS = {
    BACKEND_GT_TOTAL: "the time of the backend is longer than the whole request",
    CLIENT_TIME_MISSING: "the total holds the client's sending and receiving, unreported apart",
    RETRY_INCLUDED: "a time holds more than one try of the backend",
    BODY_UPLOAD_INCLUDED: "the backend's time holds the upload of a request body that is not small",
    SECOND_GRANULARITY: "the start is known to the second only",
    NEGATIVE_SELF: "the parts add up to more than the whole",
    CLOCK_FUTURE: "the request ends later than its record was received",
    TIME_OF_ARRIVAL: "the record has no time of its own: it is that of its arrival",
    STREAMING: "the duration is the life of a connection, not the time of an answer",
    DATE_ORDER_ASSUMED: "month/day is assumed: its table has no date that tells",
    ABSURD_DURATION: "a time is too long to be one, as an epoch is; only the raw row has it",
}

LEFT_OUT_OF_PERCENTILES = frozenset({BACKEND_GT_TOTAL, NEGATIVE_SELF, STREAMING})
"""The flags of a value that is no measurement of a request's latency."""

# A body up to ten segments of 1460 bytes leaves in one flight (RFC 6928): no round trip is added.
SMALL_BODY_BYTES = 14_600
# Two clocks kept by NTP agree within this.
_CLOCK_TOLERANCE_NS = 2_000_000_000
LONGEST_NS = NS_PER_DAY
"""A day: no request lasts longer."""
LONGEST_CONNECTION_NS = 31 * LONGEST_NS
"""What a connection that is kept open (WebSocket, gRPC stream, event stream) may last."""
_CONNECTIONS = frozenset({"websocket", "grpc"})
_PARTS = ("client_ns", "gateway_ns", "cache_ns", "backend_ns", "error_elapsed_ns")


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """
    What the times of one product mean; the defaults are what most of them do.

    `stamped`: which end of the request the product's own time marks (adapters convert to the
    start). `is_client_in_total`: the total spans reading from and writing to the client.
    `are_tries_included`: a backend or gateway time spans all tries. `is_body_upload_included`: the
    backend's time spans sending it the request body.
    """

    stamped: Literal["start", "end"]
    is_client_in_total: bool = True
    are_tries_included: bool = True
    is_body_upload_included: bool = True


def check(
    record: GatewayRecord,
    profile: Profile,
    *,
    start_resolution_ns: int = 0,
    is_streaming: bool = False,
) -> tuple[str, ...]:
    """
    Return the quality flags of *record*, those it already has included, each once.

    A time above `LONGEST_NS` is taken back, in every adapter alike: it becomes `None`, and a start
    that was reckoned from it becomes the moment that was stamped.

    *start_resolution_ns* is how exactly the product wrote the start down (`fields.Timestamp`).
    """
    flags = list(record.quality)
    is_streaming = is_streaming or STREAMING in flags or is_tunnel(record.method, record.status)
    if _drop_impossible(record, profile, is_streaming=is_streaming):
        flags.append(ABSURD_DURATION)
    duration_ns, backend_ns = record.duration_ns, record.backend_ns
    if duration_ns is not None:
        # whole steps may be rounded or cut off: two values are a step apart at most
        if backend_ns is not None and backend_ns - duration_ns > record.resolution_ns:
            flags.append(BACKEND_GT_TOTAL)
        elif _has_excess(record, duration_ns):
            flags.append(NEGATIVE_SELF)
        if profile.is_client_in_total and record.client_ns is None:
            flags.append(CLIENT_TIME_MISSING)
    if backend_ns is not None and profile.is_body_upload_included and _has_large_body(record):
        flags.append(BODY_UPLOAD_INCLUDED)
    if profile.are_tries_included and record.attempts is not None and record.attempts > 1:
        flags.append(RETRY_INCLUDED)
    if start_resolution_ns >= NS_PER_S:
        flags.append(SECOND_GRANULARITY)
    if is_streaming or record.kind == "websocket":
        flags.append(STREAMING)
    return tuple(dict.fromkeys(flags)) if len(flags) > 1 else tuple(flags)


def _drop_impossible(record: GatewayRecord, profile: Profile, *, is_streaming: bool) -> bool:
    is_connection = is_streaming or record.kind in _CONNECTIONS
    longest_ns = LONGEST_CONNECTION_NS if is_connection else LONGEST_NS
    duration_ns = record.duration_ns
    if duration_ns is not None and duration_ns > longest_ns:
        record.duration_ns = None
        if profile.stamped == "end":
            record.start_ns += duration_ns
    elif not any((getattr(record, name) or 0) > longest_ns for name in _PARTS):
        return False
    for name in _PARTS:
        if (getattr(record, name) or 0) > longest_ns:
            setattr(record, name, None)
    if record.duration_ns is None:
        # What was reckoned from an absurd whole is no better.
        record.gateway_ns = record.client_ns = None
    return True


def check_clock(record: GatewayRecord, received_ns: int) -> tuple[str, ...]:
    """
    Return the flags of *record*, with `CLOCK_FUTURE` when it ends after it was received.

    The receiver's moment is not known where bodies are decoded: intake calls this.
    """
    end_ns = record.start_ns + (record.duration_ns or 0)
    if end_ns - received_ns > _CLOCK_TOLERANCE_NS and CLOCK_FUTURE not in record.quality:
        return (*record.quality, CLOCK_FUTURE)
    return record.quality


def _has_excess(record: GatewayRecord, duration_ns: int) -> bool:
    """Tell whether the parts exceed the whole beyond what rounding explains."""
    client_ns, gateway_ns = record.client_ns, record.gateway_ns
    cache_ns, backend_ns = record.cache_ns, record.backend_ns
    total_ns = (client_ns or 0) + (gateway_ns or 0) + (cache_ns or 0) + (backend_ns or 0)
    if total_ns <= duration_ns:  # nearly always
        return False
    values = 4 - (client_ns, gateway_ns, cache_ns, backend_ns).count(None)
    # each part and the whole may be off by half a step, and a part may itself be a sum of two
    return total_ns - duration_ns > (values + 2) * record.resolution_ns // 2


def _has_large_body(record: GatewayRecord) -> bool:
    # an unknown size says nothing: flagging every POST of a product would hide the true cases
    return record.request_bytes is not None and record.request_bytes > SMALL_BODY_BYTES
