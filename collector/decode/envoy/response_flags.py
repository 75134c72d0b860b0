"""
Envoy's response flags: what each one says about who broke a request.

Source: Envoy substitution formatter (`%RESPONSE_FLAGS%`, `%RESPONSE_FLAGS_LONG%`), stream_info
`CoreResponseFlag`, and `ResponseFlags` of envoy/data/accesslog/v3/accesslog.proto as built into
Envoy 1.40.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ResponseFlag:
    """
    One flag.

    `side` is who failed, seen from the proxy that wrote the flag: `client` (whoever called the
    proxy), `proxy` (it answered by its own rules), `upstream` (the next hop, or the way there) or
    `none` (not a fault). `fault` is a word of a closed set: `aborted`, `protocol`, `routing`,
    `denied`, `rate_limited`, `overload`, `injected`, `unreachable`, `reset`, `timeout`,
    `retries_exhausted`, `unhealthy`, `cache`. `statuses` are the documented HTTP codes.
    """

    flag: str
    name: str
    side: str
    fault: str
    meaning: str
    statuses: tuple[int, ...] = ()

    def side_of(self, status: int | None) -> str:
        """Return who failed: with one flag, the status tells the cases apart."""
        if self.flag == "SI" and status != _REQUEST_TIMEOUT:
            # 408: the request was not whole, its sender fell silent. Else it was the other end's
            # turn to speak: 504 if it had said nothing yet.
            return "upstream"
        return self.side


_REQUEST_TIMEOUT = 408

# Most telling first: of several flags the first in this order names the cause. An injected abort
# explains a reset, an unreachable upstream explains exhausted retries, and so on.
_TABLE = (
    ResponseFlag("FI", "FaultInjected", "proxy", "injected", "a fault filter aborted it"),
    ResponseFlag(
        "UAEX",
        "UnauthorizedExternalService",
        "proxy",
        "denied",
        "external authorization denied it",
        (403,),
    ),
    ResponseFlag("RL", "RateLimited", "proxy", "rate_limited", "the rate limit was hit", (429,)),
    ResponseFlag(
        "RLSE", "RateLimitServiceError", "proxy", "rate_limited", "the rate-limit service failed"
    ),
    ResponseFlag("NR", "NoRouteFound", "proxy", "routing", "no route matched", (404,)),
    ResponseFlag("NC", "NoClusterFound", "proxy", "routing", "the upstream cluster is unknown"),
    ResponseFlag(
        "NFCF", "NoFilterConfigFound", "proxy", "routing", "filter configuration had not arrived"
    ),
    ResponseFlag(
        "IH",
        "InvalidEnvoyRequestHeaders",
        "client",
        "protocol",
        "a strictly checked header had an invalid value",
        (400,),
    ),
    ResponseFlag(
        "DPE", "DownstreamProtocolError", "client", "protocol", "the caller broke the HTTP protocol"
    ),
    ResponseFlag(
        "OM", "OverloadManagerTerminated", "proxy", "overload", "the overload manager ended it"
    ),
    ResponseFlag(
        "UDO",
        "UnconditionalDropOverload",
        "proxy",
        "overload",
        "drop_overloads is set to 100 %",
        (503,),
    ),
    ResponseFlag("DO", "DropOverload", "proxy", "overload", "dropped by drop_overloads", (503,)),
    ResponseFlag(
        "UO", "UpstreamOverflow", "upstream", "overload", "the circuit breaker was open", (503,)
    ),
    ResponseFlag(
        "DF", "DnsResolutionFailed", "upstream", "unreachable", "the host name did not resolve"
    ),
    ResponseFlag(
        "UH",
        "NoHealthyUpstream",
        "upstream",
        "unhealthy",
        "the cluster has no healthy host",
        (503,),
    ),
    ResponseFlag(
        "LH",
        "FailedLocalHealthCheck",
        "upstream",
        "unhealthy",
        "the local service failed its health check",
        (503,),
    ),
    ResponseFlag(
        "UF",
        "UpstreamConnectionFailure",
        "upstream",
        "unreachable",
        "no connection to the upstream",
        (503,),
    ),
    ResponseFlag(
        "UT", "UpstreamRequestTimeout", "upstream", "timeout", "the upstream took too long", (504,)
    ),
    ResponseFlag(
        "UMSDR",
        "UpstreamMaxStreamDurationReached",
        "upstream",
        "timeout",
        "the upstream request reached its longest duration",
    ),
    ResponseFlag(
        "UPE", "UpstreamProtocolError", "upstream", "protocol", "the upstream broke the protocol"
    ),
    ResponseFlag(
        "UC",
        "UpstreamConnectionTermination",
        "upstream",
        "reset",
        "the upstream closed the connection",
        (503,),
    ),
    ResponseFlag(
        "UR", "UpstreamRemoteReset", "upstream", "reset", "the upstream reset the stream", (503,)
    ),
    ResponseFlag("LR", "LocalReset", "proxy", "reset", "the proxy reset the connection", (503,)),
    ResponseFlag(
        "SI", "StreamIdleTimeout", "client", "timeout", "the stream was idle too long", (408, 504)
    ),
    ResponseFlag(
        "DT", "DurationTimeout", "proxy", "timeout", "the longest connection duration was exceeded"
    ),
    ResponseFlag(
        "URX",
        "UpstreamRetryLimitExceeded",
        "upstream",
        "retries_exhausted",
        "every permitted attempt failed",
    ),
    ResponseFlag("DR", "DownstreamRemoteReset", "client", "aborted", "the caller reset the stream"),
    ResponseFlag(
        "DC",
        "DownstreamConnectionTermination",
        "client",
        "aborted",
        "the caller closed the connection",
        (0,),
    ),
    ResponseFlag("DI", "DelayInjected", "none", "injected", "a fault filter delayed it"),
    ResponseFlag("RFCF", "ResponseFromCacheFilter", "none", "cache", "answered from a cache"),
)

RESPONSE_FLAGS: dict[str, ResponseFlag] = {row.flag: row for row in _TABLE}
"""Flag to what is known of it, most telling first. Extensions add flags that are not in here."""


_LONG_NAMES = {row.name: row.flag for row in _TABLE}


def split_flags(text: str) -> tuple[str, ...]:
    """Return the flags in a text, those of `%RESPONSE_FLAGS_LONG%` by their short names."""
    parts = (part.strip() for part in text.split(","))
    return tuple(_LONG_NAMES.get(part, part) for part in parts if part not in ("", "-"))


def primary_flag(flags: Iterable[str]) -> ResponseFlag | None:
    """Return the flag that names the cause, or `None` when no known flag is among them."""
    present = set(flags)
    return next((row for flag, row in RESPONSE_FLAGS.items() if flag in present), None)
