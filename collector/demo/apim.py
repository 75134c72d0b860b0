"""
A stand-in for Azure API Management: a reverse proxy that logs as API Management does.

Trace context as in its W3C mode: a client's `traceparent` keeps its trace id and gets a new span id
towards the backend; without one a trace is started, unless the client speaks the older Request-Id.
Each request becomes one row of `ApiManagementGatewayLogs` with whole milliseconds, which Log
Analytics shows some seconds later.

Source: learn.microsoft.com/azure/azure-monitor/reference/tables/apimanagementgatewaylogs (columns,
meaning of the times); learn.microsoft.com/azure/api-management: api-management-howto-app-insights
(`httpCorrelationProtocol`), api-management-error-handling-policies (LastError values).
"""

import asyncio
import random
import re
import secrets
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp
from aiohttp import web

from collector.demo.log_analytics import LogAnalytics

TABLE = "ApiManagementGatewayLogs"
WORKSPACE = "7f9c2b1e-5d44-4c1a-9a57-d0e3b8a6f214"
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_KEY_HEADER = "Ocp-Apim-Subscription-Key"
_LOGGED_HEADERS = ("traceparent", "Request-Id", "User-Agent")
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}
_POLICY_MS = (0.4, 2.5)  # what inbound policies cost, at random in between


@dataclass(frozen=True, slots=True)
class Operation:
    """
    One operation of an API with its policies. 0 turns a policy off.

    `path` is what comes after the API's own prefix and is sent on; `timeout_ms` is
    forward-request's, `cache_s` cache-store's, `calls` and `window_s` rate-limit-by-key's.
    """

    name: str
    method: str
    path: str
    timeout_ms: int = 300_000
    cache_s: int = 0
    calls: int = 0
    window_s: int = 60


@dataclass(frozen=True, slots=True)
class Api:
    """One published API: its prefix, where it is sent on to, its operations, who may call."""

    name: str
    prefix: str
    backend_url: str
    operations: tuple[Operation, ...]
    keys: Mapping[str, str]  # subscription key → subscription
    host: str = "shop-demo.azure-api.net"
    backend_host: str = "ingress.shop.example"
    product: str = "starter"


@dataclass(frozen=True, slots=True)
class Delay:
    """How late a row is seen: ingested after a time in between, visible `lag_s` after that."""

    low_s: float = 8.0
    high_s: float = 15.0
    lag_s: float = 0.5


class PolicyError(Exception):
    """A policy or handler ended the request; the fields are those of LastError."""

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        *,
        source: str,
        section: str,
        scope: str = "api",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.source = source
        self.section = section
        self.scope = scope


@dataclass(slots=True)
class _Exchange:
    """What is known of one request while it runs. Durations in seconds."""

    request: web.Request
    correlation_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    started: float = field(default_factory=time.perf_counter)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    operation: Operation | None = None
    subscription: str | None = None
    client_s: float = 0.0
    cache_s: float = 0.0
    backend_s: float = 0.0
    cache: str = "none"
    backend_headers: dict[str, str] | None = None
    backend_status: int | None = None
    error: PolicyError | None = None
    error_s: float = 0.0
    status: int = 0
    body: bytes = b""


@dataclass(slots=True)
class _Cached:
    expires: float
    body: bytes
    content_type: str


class ApiManagement:
    """The gateway. `start` listens, each request is logged into the given Log Analytics."""

    def __init__(
        self, api: Api, logs: LogAnalytics, delay: Delay, *, workspace: str = WORKSPACE
    ) -> None:
        self._api = api
        self._logs = logs
        self._delay = delay
        self._workspace = workspace
        self._cache: dict[str, _Cached] = {}
        self._calls: dict[str, list[float]] = {}
        self._runner: web.AppRunner | None = None
        self._client: aiohttp.ClientSession | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Listen, and return the base address."""
        connector = aiohttp.TCPConnector(limit=0)
        self._client = aiohttp.ClientSession(connector=connector, auto_decompress=False)
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        return f"http://{host}:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Close all sockets."""
        if self._runner is not None:
            await self._runner.cleanup()
        if self._client is not None:
            await self._client.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        exchange = _Exchange(request)
        body = await request.read()
        exchange.client_s = time.perf_counter() - exchange.started
        headers = {"Content-Type": "application/json", "apim-request-id": exchange.correlation_id}
        try:
            await self._run_policies(exchange, body)
        except PolicyError as error:
            exchange.error = error
            exchange.error_s = time.perf_counter() - exchange.started
            exchange.status = error.status
            text = f'{{"statusCode": {error.status}, "message": "{error.message}"}}'
            exchange.body = text.encode()
            if error.status == 429:
                headers["Retry-After"] = str(exchange.operation and exchange.operation.window_s)
        response = web.StreamResponse(status=exchange.status, headers=headers)
        sending = time.perf_counter()
        try:
            response.content_length = len(exchange.body)
            await response.prepare(request)
            await response.write(exchange.body)
            await response.write_eof()
        finally:
            exchange.client_s += time.perf_counter() - sending
            self._log(exchange)
        return response

    async def _run_policies(self, exchange: _Exchange, body: bytes) -> None:
        operation = exchange.operation = self._find_operation(exchange.request)
        exchange.subscription = self._authorize(exchange.request)
        await asyncio.sleep(random.uniform(*_POLICY_MS) / 1000)
        self._limit_rate(operation, exchange.subscription)
        cached = await self._look_up(exchange, operation)
        if cached is not None:
            exchange.status, exchange.body = 200, cached.body
            return
        await self._forward(exchange, operation, body)
        if operation.cache_s and exchange.status == 200:
            expires = time.monotonic() + operation.cache_s
            entry = _Cached(expires, exchange.body, "application/json")
            self._cache[exchange.request.raw_path] = entry

    def _find_operation(self, request: web.Request) -> Operation:
        for operation in self._api.operations:
            path = self._api.prefix + operation.path
            if request.method == operation.method and request.path.startswith(path):
                return operation
        raise PolicyError(
            404,
            "OperationNotFound",
            "Unable to match incoming request to an operation.",
            source="configuration",
            section="backend",
        )

    def _authorize(self, request: web.Request) -> str:
        key = request.headers.get(_KEY_HEADER, "")
        if key in self._api.keys:
            return self._api.keys[key]
        problem = ("Invalid", "invalid") if key else ("NotFound", "missing")
        raise PolicyError(
            401,
            f"SubscriptionKey{problem[0]}",
            f"Access denied due to {problem[1]} subscription key. Make sure to include a valid "
            "subscription key when making requests to an API.",
            source="authorization",
            section="inbound",
        )

    def _limit_rate(self, operation: Operation, subscription: str) -> None:
        if not operation.calls:
            return
        now = time.monotonic()
        key = f"{operation.name}/{subscription}"
        recent = [at for at in self._calls.get(key, []) if now - at < operation.window_s]
        self._calls[key] = recent
        if len(recent) >= operation.calls:
            wait_s = max(1, round(operation.window_s - (now - recent[0])))
            raise PolicyError(
                429,
                "RateLimitExceeded",
                f"Rate limit is exceeded. Try again in {wait_s} seconds.",
                source="rate-limit-by-key",
                section="inbound",
                scope="operation",
            )
        recent.append(now)

    async def _look_up(self, exchange: _Exchange, operation: Operation) -> _Cached | None:
        if not operation.cache_s:
            return None
        looked = time.perf_counter()
        await asyncio.sleep(random.uniform(0.001, 0.003))
        entry = self._cache.get(exchange.request.raw_path)
        is_hit = entry is not None and entry.expires > time.monotonic()
        exchange.cache = "hit" if is_hit else "miss"
        exchange.cache_s = time.perf_counter() - looked
        return entry if is_hit else None

    async def _forward(self, exchange: _Exchange, operation: Operation, body: bytes) -> None:
        request = exchange.request
        headers = {
            name: value
            for name, value in request.headers.items()
            if name.lower() not in _HOP_BY_HOP and name != _KEY_HEADER
        }
        headers |= {"Host": self._api.backend_host, "X-Forwarded-For": request.remote or ""}
        exchange.backend_headers = with_trace_context(headers)
        url = self._api.backend_url + request.raw_path.removeprefix(self._api.prefix)
        timeout = aiohttp.ClientTimeout(total=operation.timeout_ms / 1000)
        assert self._client is not None
        started = time.perf_counter()
        try:
            async with self._client.request(
                request.method,
                url,
                headers=exchange.backend_headers,
                data=body or None,
                timeout=timeout,
            ) as answer:
                exchange.body = await answer.read()
                exchange.status = exchange.backend_status = answer.status
        except TimeoutError as exc:
            raise _forward_error(504, "Timeout", "The backend did not answer in time.") from exc
        except aiohttp.ClientError as exc:
            reason = "BackendConnectionFailure"
            raise _forward_error(500, reason, "The backend cannot be reached.") from exc
        finally:
            exchange.backend_s = time.perf_counter() - started

    def _log(self, exchange: _Exchange) -> None:
        now_ns = time.time_ns()
        wait_s = random.uniform(self._delay.low_s, self._delay.high_s)
        ingested_ns = now_ns + int(wait_s * 1e9)
        visible_ns = ingested_ns + int(random.uniform(0, self._delay.lag_s) * 1e9)
        row = _build_row(self._api, exchange)
        self._logs.add(self._workspace, TABLE, row, ingested_ns=ingested_ns, visible_ns=visible_ns)


def _forward_error(status: int, reason: str, message: str) -> PolicyError:
    return PolicyError(status, reason, message, source="forward-request", section="backend")


def with_trace_context(
    headers: Mapping[str, str],
    random_hex: Callable[[int], str] = secrets.token_hex,
) -> dict[str, str]:
    """
    Return the headers towards the backend, as API Management sets them in W3C mode.

    Source: `httpCorrelationProtocol: W3C`, and what backends of such gateways receive.
    """
    kept = {name: value for name, value in headers.items() if name.lower() != "traceparent"}
    sent = next((value for name, value in headers.items() if name.lower() == "traceparent"), "")
    match = _TRACEPARENT.fullmatch(sent)
    if match is None and any(name.lower() == "request-id" for name in headers):
        return kept  # API Management leaves a client of the older protocol alone
    trace_id, flags = (match[1], match[3]) if match else (random_hex(16), "01")
    span_id = random_hex(8)
    return {
        **kept,
        "traceparent": f"00-{trace_id}-{span_id}-{flags}",
        "Request-Id": f"|{trace_id}.{span_id}.",
    }


def _build_row(api: Api, exchange: _Exchange) -> dict[str, Any]:
    """
    Write one request as a row of ApiManagementGatewayLogs.

    Whole milliseconds, rounded down; backend columns stay null when there was no backend call.

    Source: learn.microsoft.com/azure/azure-monitor/reference/tables/apimanagementgatewaylogs
    """
    request = exchange.request
    row: dict[str, Any] = {
        "TimeGenerated": exchange.started_at,
        "OperationName": "Microsoft.ApiManagement/GatewayLogs",
        "Category": "GatewayLogs",
        "CorrelationId": exchange.correlation_id,
        "Region": "West Europe",
        "CallerIpAddress": request.remote,
        "Method": request.method,
        "Url": f"https://{api.host}{request.raw_path}",
        "ClientProtocol": "HTTP/1.1",
        "ClientTlsVersion": "1.3",
        "ApiId": api.name,
        "ApiRevision": "3",
        "OperationId": exchange.operation.name if exchange.operation else None,
        "ProductId": api.product if exchange.subscription else None,
        "ApimSubscriptionId": exchange.subscription,
        "ResponseCode": exchange.status,
        "IsRequestSuccess": 200 <= exchange.status < 400,
        "RequestSize": (request.content_length or 0) + 400,
        "ResponseSize": len(exchange.body) + 200,
        "Cache": exchange.cache,
        "RequestHeaders": _logged(request.headers),
        "ResponseHeaders": {"apim-request-id": exchange.correlation_id},
    }
    return row | _times(exchange) | _backend(api, exchange) | _last_error(exchange)


def _times(exchange: _Exchange) -> dict[str, int]:
    return {
        "TotalTime": int((time.perf_counter() - exchange.started) * 1000),
        "ClientTime": int(exchange.client_s * 1000),
        "CacheTime": int(exchange.cache_s * 1000),
        "BackendTime": int(exchange.backend_s * 1000),
    }


def _backend(api: Api, exchange: _Exchange) -> dict[str, Any]:
    if exchange.backend_headers is None:
        return {}
    path = exchange.request.raw_path.removeprefix(api.prefix)
    return {
        "BackendMethod": exchange.request.method,
        "BackendUrl": f"http://{api.backend_host}{path}",
        "BackendProtocol": "HTTP/1.1",
        "BackendId": "mesh-ingress",
        "BackendResponseCode": exchange.backend_status,
        "BackendRequestHeaders": _logged(exchange.backend_headers),
    }


def _last_error(exchange: _Exchange) -> dict[str, Any]:
    error = exchange.error
    if error is None:
        return {}
    return {
        "LastErrorElapsed": int(exchange.error_s * 1000),
        "LastErrorSource": error.source,
        "LastErrorScope": error.scope,
        "LastErrorSection": error.section,
        "LastErrorReason": error.reason,
        "LastErrorMessage": error.message,
        "Errors": [
            {
                "elapsed": int(exchange.error_s * 1000),
                "source": error.source,
                "reason": error.reason,
                "message": error.message,
            }
        ],
    }


def _logged(headers: Mapping[str, str], names: Sequence[str] = _LOGGED_HEADERS) -> dict[str, str]:
    by_lower = {name.lower(): value for name, value in headers.items()}
    return {name: by_lower[name.lower()] for name in names if name.lower() in by_lower}
