"""
The query API as a FastAPI application: parse nothing, ask one question, write its answer.

Blocking questions run in `Workers`, together with the writing of their JSON, so the event loop only
moves bytes. An answer is a value that says itself how it reads as JSON (see `collector.answers`).
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import cache, partial
from typing import Any
from urllib.parse import unquote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Lifespan

from collector import __version__
from collector.answers import Answer, encode
from collector.api.abandoned import Abandoned
from collector.api.assistants import Ask, AssistantDoor
from collector.api.audit import Audit
from collector.api.encoded_ids import EncodedIds
from collector.api.guard import Guard
from collector.api.jaeger.routes import build_jaeger_routes
from collector.api.jaeger.v3 import build_v3_routes
from collector.api.page import routes as pages
from collector.api.page.data import build_page_routes
from collector.api.responses import (
    JSON_TYPE,
    error_answer,
    http_error_answer,
    json_answer,
)
from collector.api.rest import openapi
from collector.api.rest.changes import build_change_routes
from collector.api.rest.tail import Tails
from collector.api.tempo.routes import build_tempo_routes
from collector.api.workers import Workers
from collector.clock import Clock, SystemClock
from collector.errors import BadQuestion, CollectorError
from collector.http.asgi import SenderGone
from collector.http.errors import ErrorAnswer, ErrorBody
from collector.http.oidc import Issuer
from collector.identity.paths import REQUESTS, request_path
from collector.query.search.filters import collect_pairs, read_boolean
from collector.query.service import QueryService
from collector.query.timelines import markdown
from collector.query.timelines.explanation import Explanation
from collector.settings import ApiSettings, is_loopback
from collector.telemetry import Metrics

Health = Callable[[], Mapping[str, str]]
Pairs = Iterable[tuple[str, str]]
Question = Callable[[Pairs], Answer]

_LOG = logging.getLogger(__name__)
# longer than this no question stands in line: its asker is told to come again
_LINE_S = 5.0
# a scrape waits so long for the sources, and shows what was known of them before
_FRESHNESS_S = 1.0
_MARKDOWN_TYPE = "text/markdown; charset=utf-8"


def build_api(
    questions: QueryService,
    settings: ApiSettings,
    health: Health,
    *,
    clock: Clock | None = None,
    stop: asyncio.Event | None = None,
    others: Mapping[str, QueryService] | None = None,
) -> FastAPI:
    """
    Build the application. What has no end of its own ends when *stop* is set.

    *others* are the questions of the tenants beside the default one, whose are *questions*: each
    tenant has an application of its own behind one guard, and all share the threads.

    *health* is asked from `/readyz`, in a thread of its own: it returns what each component says,
    `ok` or what is wrong with it.
    """
    stopping = stop or asyncio.Event()
    # by class: one request by its id is cheap, lists and reports may be heavy
    workers = Workers(threads=3, name="one")
    lists = Workers(threads=3, queue=24, line_s=_LINE_S, name="list")
    probes = Workers(threads=1, queue=8, timeout_s=5.0)
    ends: list[Callable[[], Coroutine[Any, Any, None]]] = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        for end in ends:
            await end()
        await workers.close()
        await lists.close()
        await probes.close()

    everybody = (questions, *(others or {}).values())

    def build(questions: QueryService, lifespan: Lifespan[FastAPI] | None = None) -> FastAPI:
        app = FastAPI(
            title="Hopline",
            version=__version__,
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
            lifespan=lifespan,
        )
        _add_error_answers(app)
        _add_probes(app, health, questions.metrics, probes, everybody)
        tails = Tails(stopping)
        one, many = (workers.share(), lists.share()) if others else (workers, lists)
        asks = _asks(questions, one, many)
        assistants = AssistantDoor(asks, _pages(settings), _hosts(settings))
        ends.extend((assistants.close, tails.close))
        _add_paths(app, questions, settings, one, many, tails)
        app.router.routes.append(Route("/mcp", assistants, include_in_schema=False))
        app.add_middleware(EncodedIds)
        app.add_middleware(Abandoned)
        return app

    app = build(questions, lifespan)
    pages.add_pages(app)
    described = cache(partial(openapi.describe, app))
    app.openapi = described  # type: ignore[method-assign]  # how FastAPI wants it replaced
    app.add_middleware(
        Guard,
        tokens=settings.tokens,
        ingest_tokens=settings.ingest_tokens,
        token_file=settings.token_file,
        issuer=Issuer(settings.oidc) if settings.oidc else None,
        audit=Audit(questions.secrets) if settings.is_audited else None,
        bind=settings.bind,
        allowed_hosts=settings.allowed_hosts,
        tenants=settings.tenants,
        others={tenant: build(each) for tenant, each in (others or {}).items()},
        metrics=questions.metrics,
        clock=clock or SystemClock(),
    )
    return app


def _add_paths(
    app: FastAPI,
    questions: QueryService,
    settings: ApiSettings,
    workers: Workers,
    lists: Workers,
    tails: Tails,
) -> None:
    # An id may hold a slash (X-Cloud-Trace-Context), so the longer paths have to come first.
    _add_explanations(app, questions, workers, lists)
    _add_requests(app, questions, workers)
    _add_questions(app, questions, lists)
    _add_tail(app, questions, tails)
    app.include_router(build_change_routes(questions, workers))
    app.include_router(build_v3_routes(questions, workers, lists))
    app.include_router(build_jaeger_routes(questions, workers, lists))
    app.include_router(build_tempo_routes(questions, workers, lists))
    app.include_router(build_page_routes(questions, workers, settings.doors))


def _add_error_answers(app: FastAPI) -> None:
    @app.exception_handler(CollectorError)
    async def on_ours(_: Request, error: CollectorError) -> Response:
        return error_answer(error)

    @app.exception_handler(HTTPException)
    async def on_http(request: Request, error: HTTPException) -> Response:
        path, method = request.url.path, request.method
        return http_error_answer(error.status_code, path, method, error.headers)

    @app.exception_handler(RequestValidationError)
    async def on_validation(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"][1:])
        return error_answer(BadQuestion(f"{name}: {first['msg']}"))

    @app.exception_handler(Exception)
    async def on_bug(request: Request, error: Exception) -> Response:
        if not isinstance(error, SenderGone):
            _LOG.error("answering %s failed", request.url.path, exc_info=error)
        message = "Hopline failed to answer; this is a bug, and its log says where"
        return json_answer(ErrorAnswer(ErrorBody("internal", message)), status=500)


def _add_probes(
    app: FastAPI,
    health: Health,
    metrics: Metrics,
    probes: Workers,
    everybody: Sequence[QueryService],
) -> None:
    def note_freshness() -> None:
        for each in everybody:
            # the other metrics tell why the store does not answer
            with suppress(CollectorError):
                each.note_freshness()

    @app.get("/healthz", **openapi.HEALTH)
    async def healthz() -> Response:
        return json_answer(openapi.HealthAnswer("ok"))

    @app.get("/readyz", **openapi.READY)
    async def readyz() -> Response:
        try:
            components = dict(await probes.run(health))
        except CollectorError as error:
            components = {"health": error.message}
        is_ready = all(state == "ok" for state in components.values())
        body = openapi.ReadyAnswer("ok" if is_ready else "not_ready", components)
        return json_answer(body, status=200 if is_ready else 503)

    @app.get("/metrics", **openapi.METRICS_TEXT)
    async def prometheus(request: Request) -> Response:
        with suppress(CollectorError, TimeoutError):
            async with asyncio.timeout(_FRESHNESS_S):
                await probes.run(note_freshness)
        text, media_type = metrics.exposition(request.headers.get("accept", ""))
        return Response(text, media_type=media_type)


def _add_explanations(
    app: FastAPI, questions: QueryService, workers: Workers, lists: Workers
) -> None:
    async def tell(ask: Callable[[], Explanation], form: str) -> Response:
        if form == "json":
            return await _answer(workers, ask)
        text = await workers.run(lambda: markdown.write_explanation(ask()))
        return Response(text, media_type=_MARKDOWN_TYPE)

    @app.get("/api/v1/explain", **openapi.EXPLAIN_DESCRIBED)
    async def explain_described(request: Request) -> Response:
        pairs = request.query_params.multi_items()
        form = _choose_form(dict(pairs).get("format", ""), request.headers.get("accept", ""))
        description = [pair for pair in pairs if pair[0] != "format"]
        id_ = await lists.run(questions.searches.find_described, description)
        told = await tell(partial(questions.timelines.explain, id_), form)
        told.headers["Content-Location"] = request_path(id_, "/explain")
        return told

    @app.get("/api/v1/requests/{id:path}/explain", **openapi.EXPLAIN)
    async def explain(request: Request) -> Response:
        given = _pairs(request, "as_of", "format")
        form = _choose_form(given.get("format", ""), request.headers.get("accept", ""))
        return await tell(
            partial(questions.timelines.explain, _id(request), as_of=given.get("as_of", "")), form
        )


def _add_requests(app: FastAPI, questions: QueryService, workers: Workers) -> None:
    @app.get("/api/v1/requests/{id:path}/spans", **openapi.SPANS)
    async def spans(request: Request) -> Response:
        given = _pairs(request, "as_of")
        ask = partial(questions.timelines.spans, _id(request), as_of=given.get("as_of", ""))
        return await _answer(workers, ask)

    @app.get("/api/v1/requests/{id:path}", **openapi.TIMELINE)
    async def timeline(request: Request) -> Response:
        given = _pairs(request, "as_of", "raw")
        raw = read_boolean("raw", given.get("raw", "false"))
        ask = partial(questions.timelines.get, _id(request), as_of=given.get("as_of", ""), raw=raw)
        return await _answer(workers, ask)


def _add_questions(app: FastAPI, questions: QueryService, workers: Workers) -> None:
    """Add the questions that take nothing but parameters."""
    asked: tuple[tuple[str, Mapping[str, Any], Question], ...] = (
        ("requests", openapi.SEARCH, questions.searches.find),
        ("sources", openapi.SOURCES, questions.reports.sources),
        ("apis", openapi.APIS, questions.reports.apis),
        ("budget", openapi.BUDGET, questions.reports.budget),
        ("changes", openapi.CHANGES, questions.reports.changes),
        ("services", openapi.SERVICES, questions.reports.services),
        ("edges", openapi.EDGES, questions.reports.edges),
        ("slow", openapi.SLOW, questions.reports.slow),
        ("clocks", openapi.CLOCKS, questions.reports.clocks),
        ("compare", openapi.COMPARE, questions.reports.compare),
        ("doctor", openapi.DOCTOR, questions.reports.doctor),
        ("joins", openapi.JOINS, questions.reports.joins),
        ("outcomes", openapi.OUTCOMES, questions.reports.outcomes),
        ("storage", openapi.STORAGE, questions.reports.storage),
    )
    for path, documented, ask in asked:
        # what cannot be understood is said at once, before there is a line to wait in
        check = questions.searches.check if path == "requests" else None
        endpoint = _endpoint(workers, ask, check)
        app.add_api_route(f"/api/v1/{path}", endpoint, methods=["GET"], **documented)


def _add_tail(app: FastAPI, questions: QueryService, tails: Tails) -> None:
    @app.get("/api/v1/tail", **openapi.TAIL)
    async def tail(request: Request) -> Response:
        pairs = request.query_params.multi_items()
        return await tails.open(partial(questions.searches.open_tail, pairs))


def _endpoint(
    workers: Workers,
    ask: Question,
    check: Callable[[Sequence[tuple[str, str]]], None] | None,
) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    async def answer(request: Request) -> Response:
        pairs = request.query_params.multi_items()
        if check is not None:
            check(pairs)
        return await _answer(workers, partial(ask, pairs))

    return answer


def _asks(questions: QueryService, workers: Workers, lists: Workers) -> Ask:
    """Return how assistants ask this process: in its threads, as everybody does."""
    plain: Mapping[str, Question] = {
        "/api/v1/requests": questions.searches.find,
        "/api/v1/apis": questions.reports.apis,
        "/api/v1/budget": questions.reports.budget,
        "/api/v1/changes": questions.reports.changes,
        "/api/v1/compare": questions.reports.compare,
        "/api/v1/doctor": questions.reports.doctor,
        "/api/v1/slow": questions.reports.slow,
        "/api/v1/sources": questions.reports.sources,
    }

    async def ask(path: str, pairs: Sequence[tuple[str, str]]) -> Mapping[str, Any] | str:
        if path in plain:
            body = await lists.run(lambda: encode(plain[path](pairs)))
            document: Mapping[str, Any] = json.loads(body)
            return document
        id_ = unquote(path.removeprefix(REQUESTS).removesuffix("/explain"))
        as_of = dict(pairs).get("as_of", "")

        def tell() -> str:
            return markdown.write_explanation(questions.timelines.explain(id_, as_of=as_of))

        return await workers.run(tell)

    return ask


def _hosts(settings: ApiSettings) -> list[str]:
    """Return the names of this machine: without tokens no page of another name may ask."""
    if settings.tokens or settings.token_file or settings.oidc or not is_loopback(settings.bind):
        return []
    return [f"{name}:{settings.port}" for name in ("127.0.0.1", "localhost", "[::1]")]


def _pages(settings: ApiSettings) -> str:
    if not is_loopback(settings.bind):
        return ""
    scheme = "https" if settings.tls.certificate else "http"
    return f"{scheme}://localhost:{settings.port}"


async def _answer(workers: Workers, ask: Callable[[], Answer]) -> Response:
    """Ask in a thread, and write the answer there too: the event loop only moves bytes."""
    body = await workers.run(lambda: encode(ask()))
    return Response(body, media_type=JSON_TYPE)


def _id(request: Request) -> str:
    return unquote(str(request.path_params["id"]))


def _pairs(request: Request, *names: str) -> dict[str, str]:
    return collect_pairs(request.query_params.multi_items(), names)


def _choose_form(form: str, accept: str) -> str:
    """Return `markdown` or `json`: what `format` says, else the first of them that is accepted."""
    if form:
        if form not in ("json", "markdown"):
            msg = f"format: {form[:40]!r} is neither json nor markdown"
            raise BadQuestion(msg)
        return form
    for part in accept.lower().split(","):
        media = part.partition(";")[0].strip()
        if media in ("text/markdown", "text/plain"):
            return "markdown"
        if media in ("application/json", "*/*"):
            break
    return "json"
