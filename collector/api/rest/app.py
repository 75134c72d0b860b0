"""
The query API as a FastAPI application: parse nothing, ask one question, render its answer.

Blocking questions run in `Workers`, together with the writing of their JSON, so the event loop only
moves bytes. Bodies are built by `render` and written by orjson; the models in `schemas` document
them and are checked against real answers by the tests, not at run time.
"""

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response

from collector import __version__
from collector.api.guard import Guard
from collector.api.jaeger.routes import build_jaeger_routes
from collector.api.page import routes as pages
from collector.api.responses import error_answer, http_error_answer, json_answer
from collector.api.rest import openapi as schemas
from collector.api.rest import serialize as render
from collector.api.rest.report_routes import build_sample_routes
from collector.api.workers import Workers
from collector.clock import Clock, SystemClock
from collector.config import ApiSettings
from collector.errors import BadQuestion, CollectorError
from collector.http.errors import error_shape
from collector.identity.paths import request_path
from collector.query.search.filters import collect_pairs, read_boolean
from collector.query.service import QueryService
from collector.query.timelines import markdown
from collector.query.timelines.explanation import Explanation
from collector.telemetry import Metrics

Health = Callable[[], Mapping[str, str]]

_LOG = logging.getLogger(__name__)
_PROMETHEUS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_MARKDOWN_TYPE = "text/markdown; charset=utf-8"


def build_api(
    questions: QueryService,
    settings: ApiSettings,
    health: Health,
    *,
    clock: Clock | None = None,
) -> FastAPI:
    """
    Build the application.

    *health* is asked from `/readyz`, in a thread of its own: it returns what each component says,
    `ok` or what is wrong with it.
    """
    workers = Workers()
    probes = Workers(threads=1, queue=8, timeout_s=5.0)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await workers.close()
        await probes.close()

    app = FastAPI(
        title="Hopline",
        version=__version__,
        description=schemas.DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    _add_error_answers(app)
    _add_probes(app, health, questions.metrics, probes)
    # An id may hold a slash (X-Cloud-Trace-Context), so the longer paths have to come first.
    _add_explanations(app, questions, workers)
    _add_requests(app, questions, workers)
    _add_overviews(app, questions, workers)
    app.include_router(build_sample_routes(questions, workers))
    app.include_router(build_jaeger_routes(questions, workers))
    pages.add_pages(app)
    app.add_middleware(
        Guard, tokens=settings.tokens, metrics=questions.metrics, clock=clock or SystemClock()
    )
    return app


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
        _LOG.error("answering %s failed", request.url.path, exc_info=error)
        message = "Hopline failed to answer; this is a bug, and its log says where"
        return json_answer(error_shape("internal", message), status=500)


def _add_probes(app: FastAPI, health: Health, metrics: Metrics, probes: Workers) -> None:
    @app.get("/healthz", **schemas.HEALTH)
    async def healthz() -> Response:
        return json_answer({"status": "ok"})

    @app.get("/readyz", **schemas.READY)
    async def readyz() -> Response:
        try:
            components = dict(await probes.run(health))
        except CollectorError as error:
            components = {"health": error.message}
        is_ready = all(state == "ok" for state in components.values())
        body = {"status": "ok" if is_ready else "not_ready", "components": components}
        return json_answer(body, status=200 if is_ready else 503)

    @app.get("/metrics", **schemas.METRICS_TEXT)
    async def prometheus() -> Response:
        return PlainTextResponse(metrics.prometheus_text(), media_type=_PROMETHEUS_TYPE)


def _add_explanations(app: FastAPI, questions: QueryService, workers: Workers) -> None:
    async def tell(ask: Callable[[], Explanation], form: str) -> Response:
        if form == "json":
            body = await workers.run(_write, lambda: render.render_explanation(ask()))
            return Response(body, media_type="application/json")
        text = await workers.run(lambda: markdown.write_explanation(ask()))
        return Response(text, media_type=_MARKDOWN_TYPE)

    @app.get("/api/v1/explain", **schemas.EXPLAIN_DESCRIBED)
    async def explain_described(request: Request) -> Response:
        pairs = request.query_params.multi_items()
        form = _choose_form(dict(pairs).get("format", ""), request.headers.get("accept", ""))
        description = [pair for pair in pairs if pair[0] != "format"]
        id_ = await workers.run(questions.find_described, description)
        told = await tell(partial(questions.explain, id_), form)
        told.headers["Content-Location"] = request_path(id_, "/explain")
        return told

    @app.get("/api/v1/requests/{id:path}/explain", **schemas.EXPLAIN)
    async def explain(request: Request) -> Response:
        given = _pairs(request, "as_of", "format")
        form = _choose_form(given.get("format", ""), request.headers.get("accept", ""))
        return await tell(
            partial(questions.explain, _id(request), as_of=given.get("as_of", "")), form
        )


def _add_requests(app: FastAPI, questions: QueryService, workers: Workers) -> None:
    async def answer(ask: Callable[[], Any]) -> Response:
        return Response(await workers.run(_write, ask), media_type="application/json")

    @app.get("/api/v1/requests", **schemas.SEARCH)
    async def search(request: Request) -> Response:
        pairs = request.query_params.multi_items()
        return await answer(lambda: render.render_found(questions.search(pairs)))

    @app.get("/api/v1/requests/{id:path}/spans", **schemas.SPANS)
    async def spans(request: Request) -> Response:
        given = _pairs(request, "as_of")
        ask = partial(questions.spans, _id(request), as_of=given.get("as_of", ""))
        return await answer(lambda: render.render_stored(ask()))

    @app.get("/api/v1/requests/{id:path}", **schemas.TIMELINE)
    async def timeline(request: Request) -> Response:
        given = _pairs(request, "as_of", "raw")
        raw = read_boolean("raw", given.get("raw", "false"))
        ask = partial(questions.timeline, _id(request), as_of=given.get("as_of", ""), raw=raw)
        return await answer(lambda: render.render_timeline(ask()))


def _add_overviews(app: FastAPI, questions: QueryService, workers: Workers) -> None:
    @app.get("/api/v1/sources", **schemas.SOURCES)
    async def sources(request: Request) -> Response:
        _pairs(request)
        ask = partial(_write, lambda: render.render_sources(questions.sources()))
        return Response(await workers.run(ask), media_type="application/json")

    @app.get("/api/v1/apis", **schemas.APIS)
    async def apis(request: Request) -> Response:
        given = _pairs(request, "start", "end")
        ask = partial(_write, lambda: render.render_apis(questions.apis(**given)))
        return Response(await workers.run(ask), media_type="application/json")

    @app.get("/api/v1/clocks", **schemas.CLOCKS)
    async def clocks(request: Request) -> Response:
        _pairs(request)
        ask = partial(_write, lambda: render.render_clocks(questions.clocks()))
        return Response(await workers.run(ask), media_type="application/json")


def _write(ask: Callable[[], Any]) -> bytes:
    return orjson.dumps(ask())


def _id(request: Request) -> str:
    return str(request.path_params["id"])


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
