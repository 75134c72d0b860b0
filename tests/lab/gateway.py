"""
A gateway that does what a scenario tells it, and logs rows of `ApiManagementGatewayLogs`.

Unlike the demo's stand-in it can be told to be slow, to lose its row, to log no headers; its rows
go to Hopline's push door instead of Log Analytics.

Source: learn.microsoft.com/azure/azure-monitor/reference/tables/apimanagementgatewaylogs (columns),
learn.microsoft.com/azure/api-management/api-management-error-handling-policies (LastError values).
"""

import asyncio
import secrets
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
from aiohttp import web

from tests.lab.scenario import Carrier, Policy
from tests.lab.sink import RecordSink

SENT_TRACEPARENT = "x-lab-traceparent"
"""By this response header the lab learns what the gateway sent on; Hopline never sees it."""

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}
_TRACE_HEADERS = ("traceparent", "x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "x-request-id")
_NOBODY = "http://127.0.0.1:9"  # the discard port: a connection is refused
_RETRIED = (502, 503, 504)


class _Ended(Exception):
    """A policy ended the request; the fields are those of LastError."""

    def __init__(self, status: int, reason: str, source: str, section: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.source = source
        self.section = section


@dataclass(slots=True)
class _Exchange:
    request: web.Request
    policy: Policy
    scenario: str
    correlation_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    started: float = field(default_factory=time.perf_counter)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    status: int = 0
    body: bytes = b""
    cache: str = "none"
    client_s: float = 0.0
    backend_s: float = 0.0
    backend_status: int | None = None
    backend_headers: dict[str, str] | None = None
    error: _Ended | None = None


class LabGateway:
    """One gateway named *name* that sends on to *backend*, or to *slow_backend* over a network."""

    def __init__(
        self, name: str, policies: Mapping[str, Policy], sink: RecordSink, backend: str
    ) -> None:
        self.name = name
        self.slow_backend = ""
        self._policies = policies
        self._sink = sink
        self._backend = backend
        self._cached: set[str] = set()
        self._runner: web.AppRunner | None = None
        self._client: aiohttp.ClientSession | None = None

    async def start(self) -> str:
        """Listen on this machine and return the base address."""
        self._client = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        app = web.Application()
        app.router.add_route("*", "/{scenario}/{marker}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Close all sockets."""
        if self._runner is not None:
            await self._runner.cleanup()
        if self._client is not None:
            await self._client.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        scenario = request.match_info["scenario"]
        exchange = _Exchange(request, self._policies[scenario], scenario)
        try:
            await self._apply(exchange)
        except _Ended as ended:
            exchange.error, exchange.status = ended, ended.status
            exchange.body = b'{"message": "refused"}'
            if exchange.policy.falls_back:
                exchange.status, exchange.body = 200, b'{"from": "on-error"}'
        except asyncio.CancelledError:
            exchange.error = _Ended(0, "ClientConnectionFailure", "transfer-response", "backend")
            self._log(exchange)
            raise
        headers = {"Content-Type": "application/json"}
        response = web.Response(status=exchange.status, body=exchange.body, headers=headers)
        response.headers[f"{self.name}-request-id"] = exchange.correlation_id
        sent = (exchange.backend_headers or {}).get("traceparent", "")
        response.headers[SENT_TRACEPARENT] = sent
        sending = time.perf_counter()
        await response.prepare(request)
        await response.write_eof()
        exchange.client_s += time.perf_counter() - sending
        self._log(exchange)
        return response

    async def _apply(self, exchange: _Exchange) -> None:
        policy = exchange.policy
        if policy.delay_ms:
            await asyncio.sleep(policy.delay_ms / 1000)
        if policy.refuses:
            raise _refusal(policy.refuses)
        if policy.is_cached and exchange.scenario in self._cached:
            exchange.status, exchange.body, exchange.cache = 200, b'{"cached": true}', "hit"
            return
        self._cached.add(exchange.scenario)
        exchange.cache = "miss" if policy.is_cached else "none"
        for left in reversed(range(policy.tries)):
            await self._forward(exchange)
            if exchange.status not in _RETRIED or not left:
                break
        if policy.after_ms:
            await asyncio.sleep(policy.after_ms / 1000)
        if policy.breaks_with:
            raise _Ended(
                policy.breaks_with, "ExpressionValueEvaluationFailure", "set-body", "outbound"
            )

    async def _forward(self, exchange: _Exchange) -> None:
        request, policy = exchange.request, exchange.policy
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP_BY_HOP}
        headers = carry(policy.carries, headers, exchange.correlation_id)
        exchange.backend_headers = headers
        base = self.slow_backend if policy.network_ms else self._backend
        url = (_NOBODY if policy.is_backend_down else base) + request.path
        timeout = aiohttp.ClientTimeout(total=policy.timeout_ms / 1000)
        assert self._client is not None
        started = time.perf_counter()
        try:
            async with self._client.get(url, headers=headers, timeout=timeout) as answer:
                exchange.body = await answer.read()
                exchange.status = exchange.backend_status = answer.status
        except TimeoutError as exc:
            raise _Ended(504, "Timeout", "forward-request", "backend") from exc
        except aiohttp.ClientError as exc:
            raise _Ended(500, "BackendConnectionFailure", "forward-request", "backend") from exc
        finally:
            exchange.backend_s += time.perf_counter() - started

    def _log(self, exchange: _Exchange) -> None:
        if exchange.policy.record != "never":
            row = _build_row(self.name, exchange)
            self._sink.add(row, is_late=exchange.policy.record == "late")
            if exchange.policy.record == "twice":
                self._sink.add(row, is_late=True)


def _refusal(status: int) -> _Ended:
    if status == 401:
        return _Ended(401, "SubscriptionKeyNotFound", "authorization", "inbound")
    if status == 404:
        return _Ended(404, "OperationNotFound", "configuration", "backend")
    if status == 403:
        return _Ended(403, "CallerIpNotAllowed", "ip-filter", "inbound")
    return _Ended(status, "RateLimitExceeded", "rate-limit-by-key", "inbound")


def carry(carrier: Carrier, headers: Mapping[str, str], correlation_id: str) -> dict[str, str]:
    """Return the headers towards the backend, with the gateway's trace context."""
    sent = {name.lower(): value for name, value in headers.items()}
    received = sent.get("traceparent", "").split("-")
    trace_id = received[1] if len(received) == 4 else secrets.token_hex(16)
    span_id = secrets.token_hex(8)
    if carrier not in ("traceparent-passed", "client-request-id"):
        sent.pop("traceparent", None)
    match carrier:
        case "traceparent" | "unsampled":
            flags = "00" if carrier == "unsampled" else "01"
            sent["traceparent"] = f"00-{trace_id}-{span_id}-{flags}"
        case "correlation-id":
            sent["traceparent"] = f"00-{correlation_id.replace('-', '')}-{span_id}-01"
        case "x-request-id":
            sent["x-request-id"] = correlation_id
        case "zero-parent":
            recipe = f"00-{correlation_id.replace('-', '')}-{'0' * 16}-01"
            sent |= {"traceparent": recipe, "x-request-id": correlation_id}
        case "b3":
            b3 = {"x-b3-traceid": trace_id, "x-b3-spanid": span_id, "x-b3-sampled": "1"}
            sent |= {**b3, "x-request-id": correlation_id}
        case "b3-64":
            short = trace_id[16:]
            sent |= {"x-b3-traceid": short, "x-b3-spanid": span_id, "x-b3-sampled": "1"}
    return sent


def _build_row(name: str, exchange: _Exchange) -> dict[str, Any]:
    """Write one request as a row; whole milliseconds, rounded down, as API Management does."""
    request, policy = exchange.request, exchange.policy
    clock_error = timedelta(milliseconds=policy.clock_ms)
    is_success = 200 <= exchange.status < 400
    row: dict[str, Any] = {
        "TimeGenerated": (exchange.started_at + clock_error).isoformat(),
        "Category": "GatewayLogs",
        "CorrelationId": exchange.correlation_id,
        "ServiceName": name,
        "Region": "West Europe",
        "CallerIpAddress": "203.0.113.24",
        "Method": request.method,
        "Url": f"https://{name}.example{request.path}",
        "ApiId": "lab",
        "ApiRevision": "1",
        "OperationId": policy.operation or exchange.scenario,
        "ResponseCode": exchange.status,
        "IsRequestSuccess": is_success,
        "ResponseSize": len(exchange.body) + 200,
        "Cache": exchange.cache,
        "TotalTime": int((time.perf_counter() - exchange.started) * 1000),
        "ClientTime": int(exchange.client_s * 1000),
        "CacheTime": 0,
        "BackendTime": int(exchange.backend_s * 1000),
    }
    is_passed = policy.carries in ("traceparent-passed", "client-request-id")
    if is_passed or policy.is_inbound_logged:
        row["RequestHeaders"] = _logged(request.headers)
    if exchange.backend_headers is not None:
        row |= {
            "BackendMethod": request.method,
            "BackendUrl": f"http://ingress.example{request.path}",
            "BackendResponseCode": exchange.backend_status,
        }
        if policy.carries in ("traceparent", "unsampled", "zero-parent", "b3", "b3-64"):
            row["BackendRequestHeaders"] = _logged(exchange.backend_headers)
    row |= _last_error(exchange)
    return {name: value for name, value in row.items() if name not in policy.leaves_out}


def _last_error(exchange: _Exchange) -> dict[str, Any]:
    error = exchange.error
    if error is None:
        return {}
    return {
        "LastErrorElapsed": int((time.perf_counter() - exchange.started) * 1000),
        "LastErrorSource": error.source,
        "LastErrorSection": error.section,
        "LastErrorReason": error.reason,
        "LastErrorMessage": f"ended by {error.source}",
    }


def _logged(headers: Mapping[str, str]) -> dict[str, str]:
    by_lower = {name.lower(): value for name, value in headers.items()}
    return {name: by_lower[name] for name in _TRACE_HEADERS if name in by_lower}
