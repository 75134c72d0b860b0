"""
What happens around every request of the query API: token, timing, counting, headers.

A plain ASGI middleware: it sees each request once and touches no body.
"""

from pathlib import Path
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from collector.api.page import routes as pages
from collector.api.responses import error_answer
from collector.clock import Clock
from collector.errors import ForeignPage, Refused, Unauthenticated
from collector.http.headers import authorization
from collector.http.origins import Origins
from collector.http.tokens import Tokens
from collector.telemetry import Metrics

# No data behind these: probes, the empty pages, and the description of the API.
OPEN_PATHS = frozenset({"/healthz", "/readyz", "/openapi.json", *pages.OPEN_PATHS})
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    b"img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Guard:
    """Refuses requests without a known token, and measures all of them."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        tokens: tuple[str, ...],
        token_file: Path | None = None,
        bind: str = "127.0.0.1",
        allowed_hosts: tuple[str, ...] = (),
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._app = app
        self._tokens = Tokens(tokens, "HOPLINE_QUERY_TOKENS", token_file)
        self._origins = Origins(bind, allowed_hosts, is_open=not self._tokens.are_needed)
        self._metrics = metrics
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started_ns = self._clock.monotonic_ns()
        status = 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *_HEADERS, *_extra(scope)]
            await send(message)

        try:
            refusal = self._find_refusal(scope)
            if refusal is None:
                await self._app(scope, receive, send_with_headers)
            else:
                await error_answer(refusal)(scope, receive, send_with_headers)
        finally:
            route = _route_name(scope)
            seconds = (self._clock.monotonic_ns() - started_ns) / 1e9
            self._metrics.count("hopline_api_requests_total", route=route, status=str(status))
            self._metrics.observe("hopline_api_request_seconds", seconds, route=route)

    def _find_refusal(self, scope: Scope) -> Refused | None:
        path = scope["path"]
        try:
            self._origins.check(scope)
        except ForeignPage as refusal:
            return refusal
        if path in OPEN_PATHS or path.startswith(pages.OPEN_PREFIXES):
            return None
        try:
            self._tokens.check_header(authorization(dict(scope["headers"])))
        except Unauthenticated as refusal:
            return refusal
        return None


def _extra(scope: Scope) -> tuple[tuple[bytes, bytes], ...]:
    path = scope["path"]
    if path in pages.OPEN_PATHS or path.startswith(pages.OPEN_PREFIXES):
        return ((b"content-security-policy", _POLICY), (b"cache-control", b"no-cache"))
    return (
        (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
        (b"cache-control", b"no-store"),
    )


def _route_name(scope: Scope) -> str:
    """Return the template of the path: real paths hold ids and would grow the metrics."""
    route: Any = scope.get("route")
    return str(getattr(route, "path", "none"))
