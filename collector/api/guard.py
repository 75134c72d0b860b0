"""
What happens around every request of the query API: token, timing, counting, headers.

A plain ASGI middleware: it sees each request once and touches no body.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote_plus

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.propagate import extract
from opentelemetry.trace import Span, SpanKind, StatusCode
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from collector.api.audit import Audit
from collector.api.page import routes as pages
from collector.api.readers import Readers
from collector.api.responses import error_answer
from collector.clock import Clock
from collector.errors import Refused, WrongTenant
from collector.http.asgi import TimelyBody
from collector.http.headers import authorization
from collector.http.oidc import Issuer
from collector.http.origins import Origins
from collector.http.tenants import Tenancy
from collector.http.tokens import Caller, Tokens
from collector.settings import TenantSettings
from collector.telemetry import Metrics

# No data behind these: probes, the empty pages, and the description of the API.
OPEN_PATHS = frozenset({"/healthz", "/readyz", "/openapi.json", *pages.OPEN_PATHS})
# the one question that adds something: whoever may only read may not
_WRITES = ("POST", "/api/v1/changes")
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
# asked every few seconds by programs, and telling of nobody
_UNAUDITED = OPEN_PATHS | {"/metrics"}
_TRACER = trace.get_tracer("hopline")
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    b"img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Guard:
    """
    Refuses requests without a known token, hands the others on, and measures all of them.

    *others* are the applications of the tenants beside the default one, whose is *app*. Each has
    its own questions behind it, so what is not meant for a tenant is not there to be asked for.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        tokens: tuple[str, ...],
        ingest_tokens: tuple[str, ...] = (),
        token_file: Path | None = None,
        issuer: Issuer | None = None,
        audit: Audit | None = None,
        bind: str = "127.0.0.1",
        allowed_hosts: tuple[str, ...] = (),
        tenants: TenantSettings | None = None,
        others: Mapping[str, ASGIApp] = MappingProxyType({}),
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._app = app
        self._readers = Readers(tokens, token_file, issuer)
        self._writers = Tokens(ingest_tokens, "HOPLINE_INGEST_TOKENS", token_file)
        self._origins = Origins(bind, allowed_hosts, is_open=not self._readers.are_asked)
        self._audit = audit
        self._tenancy = Tenancy(tenants or TenantSettings())
        self._others = others
        self._metrics = metrics
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started_ns = self._clock.monotonic_ns()
        status, caller, who = 500, Caller(), ""
        # A route also takes its path with a line break behind it, and what is asked of a path here
        # has to be asked of what the route takes. In place: all that follows reads this scope.
        scope["path"] = scope["path"].rstrip("\n")

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *_HEADERS, *_extra(scope)]
            await send(message)

        try:
            with _TRACER.start_as_current_span(
                f"{scope['method']} ask", _caller(scope), SpanKind.SERVER
            ) as span:
                try:
                    caller = await self._identify(scope)
                    who = caller.name
                    app = self._others[caller.tenant] if caller.tenant else self._app
                    # the body of a question that has one by its method: others need not have it
                    timely = receive if scope["method"] == "GET" else TimelyBody(receive)
                    await app(scope, timely, send_with_headers)
                except Refused as refusal:
                    who = who or refusal.who
                    await error_answer(refusal)(scope, receive, send_with_headers)
                finally:
                    _describe(span, scope, status)
        finally:
            route = _route_name(scope)
            if self._audit and scope["path"] not in _UNAUDITED:
                self._audit.log_read(
                    who,
                    scope["method"],
                    scope["path"],
                    # as it was meant: secrets are found in what is not escaped
                    unquote_plus(scope["query_string"].decode("latin-1")),
                    status,
                    tenant=self._tenancy.name_of(caller.tenant),
                )
            seconds = (self._clock.monotonic_ns() - started_ns) / 1e9
            metrics = self._metrics
            if self._tenancy.is_on:
                metrics = metrics.of_tenant(caller.tenant)
            metrics.count("hopline_api_requests_total", route=route, status=str(status))
            metrics.observe("hopline_api_request_seconds", seconds, route=route)

    async def _identify(self, scope: Scope) -> Caller:
        """Return who asks, for the tenant that the request is of. Raises `Refused`."""
        path = scope["path"]
        self._origins.check(scope)
        if path in OPEN_PATHS or path.startswith(pages.OPEN_PREFIXES):
            return Caller()
        caller = self._tenancy.place(await self._authenticate(scope), scope)
        if caller.tenant and path == "/metrics":
            raise WrongTenant("these metrics are of all tenants: use a token that belongs to none")
        return caller

    async def _authenticate(self, scope: Scope) -> Caller:
        given = authorization(dict(scope["headers"]))
        if (scope["method"], scope["path"]) == _WRITES and self._writers.are_needed:
            return self._writers.check_header(given)
        return await self._readers.identify(given)


def _caller(scope: Scope) -> Context:
    """Return the trace that the request belongs to, so that its span continues it."""
    return extract({name.decode("latin-1"): v.decode("latin-1") for name, v in scope["headers"]})


def _describe(span: Span, scope: Scope, status: int) -> None:
    if not span.is_recording():
        return
    route = _route_name(scope)
    span.update_name(f"{scope['method']} {route}")
    span.set_attribute("http.request.method", scope["method"])
    span.set_attribute("http.route", route)
    span.set_attribute("http.response.status_code", status)
    if status >= 500:
        span.set_status(StatusCode.ERROR)


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
