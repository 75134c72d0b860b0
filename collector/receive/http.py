"""
The HTTP application of the ingest port: OTLP, gateway push, health and metrics.
"""

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from collector.errors import (
    CollectorError,
    Unauthenticated,
    UnknownDoor,
    WrongMethod,
    WrongTenant,
)
from collector.http.asgi import Receive, Scope, Send
from collector.http.errors import error_document
from collector.http.tenants import Gate
from collector.http.tokens import Tokens
from collector.intake import Intake
from collector.receive.doorway import Doorway
from collector.receive.gateway_push import GatewayPush
from collector.receive.otlp_http import OtlpHttp
from collector.telemetry import Metrics

_OTLP_PREFIXES = ("/v1/", "/v1development/")
_GATEWAY_PREFIX = "/v1/gateway"


class IngestApp:
    """
    ASGI: OTLP paths go straight to their handler, everything else to FastAPI.

    `pages` is the FastAPI application.
    """

    def __init__(self, otlp: OtlpHttp, pages: FastAPI) -> None:
        self._otlp = otlp
        self.pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path: str = scope["path"]
            if path.startswith(_OTLP_PREFIXES) and not path.startswith(_GATEWAY_PREFIX):
                await self._otlp(scope, receive, send)
                return
        await self.pages(scope, receive, send)


def build_http_app(doorway: Doorway) -> IngestApp:
    """Build the application."""
    settings, gate = doorway.settings, doorway.gate
    pages = FastAPI(title="Hopline ingest", docs_url=None, redoc_url=None)
    pages.include_router(GatewayPush(doorway).router)
    _add_health(pages, doorway.intake)
    readers = Gate(
        Tokens(settings.read_tokens, "HOPLINE_QUERY_TOKENS", settings.token_file), gate.tenancy
    )
    _add_metrics(pages, doorway.metrics, readers, must_sign_in=settings.must_sign_in)
    _add_error_handlers(pages)
    return IngestApp(OtlpHttp(doorway), pages)


def _add_health(pages: FastAPI, intake: Intake) -> None:
    @pages.get("/healthz", summary="Tell that the process runs")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @pages.get("/readyz", summary="Tell whether requests would be accepted")
    async def readyz() -> JSONResponse:
        trouble = intake.check_health()
        component = {"status": "failing", "reason": trouble} if trouble else {"status": "ok"}
        body = {"status": component["status"], "components": {"journal": component}}
        return JSONResponse(body, 503 if trouble else 200)


def _add_metrics(pages: FastAPI, metrics: Metrics, gate: Gate, *, must_sign_in: bool) -> None:
    @pages.get("/metrics", summary="Show the metrics to Prometheus")
    async def show_metrics(request: Request) -> Response:
        try:
            if must_sign_in and not gate.tokens.are_needed:
                raise Unauthenticated(
                    "this port takes tokens, not people of HOPLINE_OIDC_ISSUER",
                    hint="set HOPLINE_QUERY_TOKENS or HOPLINE_TOKENS_FILE, or ask the API's port",
                )
            if gate.admit(request.scope).tenant:
                raise WrongTenant(
                    "these metrics are of all tenants: use a token that belongs to none"
                )
        except (Unauthenticated, WrongTenant) as error:
            return JSONResponse(error_document(error), error.http_status)
        text, media_type = metrics.exposition(request.headers.get("accept", ""))
        return Response(text, media_type=media_type)


def _add_error_handlers(pages: FastAPI) -> None:
    @pages.exception_handler(HTTPException)
    async def on_http_error(request: Request, exc: HTTPException) -> JSONResponse:
        error: CollectorError
        if exc.status_code == 405:
            error = WrongMethod(f"{request.url.path} does not take {request.method}")
        else:
            error = UnknownDoor(
                "there is nothing under this path",
                hint="OTLP: /v1/traces, /v1/logs, /v1/metrics; gateways: /v1/gateway/{adapter}",
            )
        return JSONResponse(error_document(error), error.http_status, dict(exc.headers or {}))

    @pages.exception_handler(Exception)
    async def on_bug(request: Request, exc: Exception) -> JSONResponse:
        error = CollectorError("an internal error; the request was not accepted")
        return JSONResponse(error_document(error), error.http_status)
