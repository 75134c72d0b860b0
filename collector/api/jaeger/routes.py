"""
The paths of Jaeger's query API.

Source: jaegertracing/jaeger v2.20 jaegerquery http_handler.go and query_parser.go; Grafana's data
source reads `data[0]` without a length check, so an unknown trace has to be 404.
"""

from collections.abc import Callable
from typing import Any

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from collector.api.jaeger.render import (
    envelope,
    error_envelope,
    render_dependencies,
    render_operations,
    render_trace,
)
from collector.api.traces.shown import show_trace
from collector.api.workers import Workers
from collector.errors import BadQuestion, CollectorError, NotFound
from collector.query.reports.trace_search import parse_trace_search
from collector.query.search.filters import read_boolean
from collector.query.service import QueryService
from collector.timestamps import NS_PER_MS

_DAY_MS = 86_400_000
_MAX_MS = 9_223_372_036_000


def build_jaeger_routes(questions: QueryService, workers: Workers, lists: Workers) -> APIRouter:
    """Return the routes below `/api`; *workers* look up a trace, *lists* all else."""
    router = APIRouter(tags=["jaeger"], include_in_schema=False)
    _add_names(router, questions, lists)
    _add_traces(router, questions, workers, lists)
    return router


def _add_names(router: APIRouter, questions: QueryService, workers: Workers) -> None:
    traces = questions.traces

    @router.get("/api/services")
    async def services() -> Response:
        return await _answer(workers, lambda: envelope(traces.services()))

    @router.get("/api/services/{service:path}/operations")
    async def operations_of_service(request: Request) -> Response:
        service = str(request.path_params["service"])

        def ask() -> Any:
            return envelope(sorted({name for name, _ in traces.operations(service)}))

        return await _answer(workers, ask)

    @router.get("/api/operations")
    async def operations(request: Request) -> Response:
        return await _answer(workers, lambda: envelope(_find_operations(questions, request)))

    @router.get("/api/dependencies")
    async def dependencies(request: Request) -> Response:
        return await _answer(workers, lambda: envelope(_find_calls(questions, request)))


def _add_traces(
    router: APIRouter, questions: QueryService, workers: Workers, lists: Workers
) -> None:
    @router.get("/api/traces")
    async def search(request: Request) -> Response:
        return await _answer(lists, lambda: _find_traces(questions, request))

    @router.get("/api/traces/{trace_id:path}")
    async def trace(request: Request) -> Response:
        trace_id = str(request.path_params["trace_id"])
        raw = request.query_params.get("raw", "")
        return await _answer(workers, lambda: _get_trace(questions, trace_id, raw), trace_id)


async def _answer(workers: Workers, ask: Callable[[], Any], trace_id: str = "") -> Response:
    """Return what *ask* returns as JSON, or the error it raises in Jaeger's envelope."""
    status = 200
    try:
        body = await workers.run(lambda: orjson.dumps(ask()))
    except CollectorError as error:
        status = error.http_status
        body = orjson.dumps(error_envelope(status, error.message, trace_id))
    return Response(body, status_code=status, media_type="application/json")


def _get_trace(questions: QueryService, trace_id: str, raw: str) -> dict[str, Any]:
    is_raw = bool(raw) and read_boolean("raw", raw)
    try:
        stitched = questions.timelines.stitched(trace_id)
    except (NotFound, BadQuestion) as error:
        # Clients know one wording, and 404 for an id that cannot be one as well.
        msg = "trace not found"
        raise NotFound(msg) from error
    return envelope([render_trace(show_trace(stitched, is_raw=is_raw))])


def _find_traces(questions: QueryService, request: Request) -> dict[str, Any]:
    pairs = request.query_params.multi_items()
    raw = request.query_params.get("raw", "")
    is_raw = bool(raw) and read_boolean("raw", raw)
    wanted = [value for name, value in pairs if name == "traceID"]
    if wanted:
        found = []
        for trace_id in wanted[:100]:
            try:
                stitched = questions.timelines.stitched(trace_id)
                found.append(render_trace(show_trace(stitched, is_raw=is_raw)))
            except (NotFound, BadQuestion):
                continue
        return envelope(found)
    search = parse_trace_search(pairs, now_ns=questions.now_ns())
    traces = [show_trace(each, is_raw=is_raw) for each in questions.traces.find(search)]
    found = [render_trace(trace) for trace in traces if trace.spans]
    return envelope(found, limit=search.limit)


def _find_operations(questions: QueryService, request: Request) -> list[dict[str, Any]]:
    service = request.query_params.get("service", "")
    if not service:
        msg = "service: is missing"
        raise BadQuestion(msg)
    kind = request.query_params.get("spanKind", "").lower()
    operations = questions.traces.operations(service)
    return render_operations(each for each in operations if not kind or each[1].lower() == kind)


def _find_calls(questions: QueryService, request: Request) -> list[dict[str, Any]]:
    now_ms = questions.now_ns() // NS_PER_MS
    end_ms = _read_ms("endTs", request.query_params.get("endTs", ""), now_ms)
    lookback_ms = _read_ms("lookback", request.query_params.get("lookback", ""), _DAY_MS)
    service = request.query_params.get("service", "")
    start_ms = max(end_ms - lookback_ms, 0)
    calls = questions.traces.calls(start_ms * NS_PER_MS, end_ms * NS_PER_MS)
    return render_dependencies(each for each in calls if not service or service in each[:2])


def _read_ms(name: str, text: str, default: int) -> int:
    if not text:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) <= 15):
        msg = f"{name}: {text[:80]!r} is not a number of milliseconds"
        raise BadQuestion(msg)
    return min(int(text), _MAX_MS)
