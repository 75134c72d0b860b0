"""
The paths of Tempo's query API, below `/tempo`: its data source is given that as its address.

Source: grafana/tempo pkg/api/http.go; modules/frontend for the forms of answers; grafana/grafana
pkg/tsdb/tempo for what its data source asks (protobuf for a trace, JSON for all else).
"""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from collector import __version__
from collector.api.tempo.metrics import (
    Samples,
    answer_instant,
    answer_range,
    read_exemplars,
    read_metric,
)
from collector.api.tempo.searching import (
    find_traces,
    list_names,
    list_values,
    read_name,
    read_search,
)
from collector.api.traces.otlp import PROTOBUF_JSON, build_traces_data, render_resource_spans
from collector.api.traces.shown import ShownTrace, show_trace
from collector.api.workers import Workers
from collector.errors import BadQuestion, CollectorError, NotFound
from collector.query.service import QueryService
from collector.wire.varint import encode_varint

_JSON = "application/json"
_PROTOBUF = "application/protobuf"
_TEXT = "text/plain; charset=utf-8"
# of TraceByIDResponse: the trace, and empty metrics behind it
_TRACE_TAG, _NO_METRICS = b"\x0a", b"\x12\x00"


def build_tempo_routes(questions: QueryService, workers: Workers, lists: Workers) -> APIRouter:
    """Return the routes below `/tempo`; *workers* look up a trace, *lists* all else."""
    router = APIRouter(prefix="/tempo", tags=["tempo"], include_in_schema=False)
    _add_status(router)
    _add_search(router, questions, lists)
    _add_names(router, questions, lists)
    _add_metrics(router, questions, lists)

    @router.get("/api/v2/traces/{trace_id}")
    async def trace(request: Request) -> Response:
        return await _answer_trace(request, questions, workers, is_older=False)

    @router.get("/api/traces/{trace_id}")
    async def older_trace(request: Request) -> Response:
        return await _answer_trace(request, questions, workers, is_older=True)

    return router


def _add_status(router: APIRouter) -> None:
    @router.get("/api/echo")
    async def echo() -> Response:
        return Response("echo", media_type=_TEXT)

    @router.get("/ready")
    async def ready() -> Response:
        return Response("ready\n", media_type=_TEXT)

    @router.get("/api/status/buildinfo")
    async def version() -> Response:
        told = {"version": __version__, "revision": "", "branch": "", "goVersion": ""}
        return Response(orjson.dumps(told), media_type=_JSON)


def _add_metrics(router: APIRouter, questions: QueryService, lists: Workers) -> None:
    samples = Samples(questions)

    @router.get("/api/metrics/query_range")
    async def over_time(request: Request) -> Response:
        given = _given(request)

        def ask() -> Mapping[str, Any]:
            asked = read_metric(given, questions.now_ns(), is_range=True)
            exemplars = read_exemplars(given)
            return answer_range(asked, samples.draw(asked.start_ns, asked.end_ns), exemplars)

        return await _answer(lists, ask)

    @router.get("/api/metrics/query")
    async def at_once(request: Request) -> Response:
        given = _given(request)

        def ask() -> Mapping[str, Any]:
            asked = read_metric(given, questions.now_ns(), is_range=False)
            return answer_instant(asked, samples.draw(asked.start_ns, asked.end_ns))

        return await _answer(lists, ask)


def _add_search(router: APIRouter, questions: QueryService, lists: Workers) -> None:
    @router.get("/api/search")
    async def search(request: Request) -> Response:
        given = _given(request)

        def ask() -> Mapping[str, Any]:
            return find_traces(questions, read_search(given, questions.now_ns()))

        return await _answer(lists, ask)


def _add_names(router: APIRouter, questions: QueryService, lists: Workers) -> None:
    @router.get("/api/v2/search/tags")
    async def names(request: Request) -> Response:
        def ask() -> Mapping[str, Any]:
            found = list_names(questions, _given(request))
            return {"scopes": [{"name": name, "tags": tags} for name, tags in found.items()]}

        return await _answer(lists, ask)

    @router.get("/api/search/tags")
    async def older_names(request: Request) -> Response:
        def ask() -> Mapping[str, Any]:
            found = list_names(questions, _given(request))
            # all of them means, in the older API, what people named themselves
            is_all = len(found) > 1
            return {
                "tagNames": sorted(
                    {tag for scope, tags in found.items() for tag in tags}
                    if not is_all
                    else {*found["span"], *found["resource"]}
                )
            }

        return await _answer(lists, ask)

    @router.get("/api/v2/search/tag/{name:path}/values")
    async def values(request: Request) -> Response:
        def ask() -> Mapping[str, Any]:
            # Grafana writes the name percent-encoded twice
            attribute = read_name(unquote(request.path_params["name"]), is_older=False)
            found = list_values(questions, attribute, _given(request))
            return {"tagValues": [{"type": kind, "value": value} for kind, value in found]}

        return await _answer(lists, ask)

    @router.get("/api/search/tag/{name:path}/values")
    async def older_values(request: Request) -> Response:
        def ask() -> Mapping[str, Any]:
            attribute = read_name(unquote(request.path_params["name"]), is_older=True)
            found = list_values(questions, attribute, _given(request))
            return {"tagValues": [value for _, value in found]}

        return await _answer(lists, ask)


def _given(request: Request) -> dict[str, str]:
    return {name: value for name, value in request.query_params.items() if value.strip()}


async def _answer(workers: Workers, ask: Callable[[], Mapping[str, Any]]) -> Response:
    """Return what *ask* returns as JSON, or the error it raises as text, as Tempo does."""
    try:
        body = await workers.run(lambda: orjson.dumps(ask()))
    except CollectorError as error:
        return Response(error.message, status_code=error.http_status, media_type=_TEXT)
    return Response(body, media_type=_JSON)


async def _answer_trace(
    request: Request, questions: QueryService, workers: Workers, *, is_older: bool
) -> Response:
    trace_id = str(request.path_params["trace_id"])
    is_binary = _PROTOBUF in request.headers.get("accept", "")

    def ask() -> bytes:
        trace = _get(questions, trace_id)
        if is_binary:
            body = build_traces_data([trace]).SerializeToString()
            return body if is_older else _TRACE_TAG + encode_varint(len(body)) + body + _NO_METRICS
        batches = render_resource_spans([trace], PROTOBUF_JSON)
        if is_older:
            return orjson.dumps({"batches": batches})
        return orjson.dumps({"trace": {"resourceSpans": batches}, "metrics": {}})

    try:
        body = await workers.run(ask)
    except CollectorError as error:
        return Response(error.message, status_code=error.http_status, media_type=_TEXT)
    return Response(body, media_type=_PROTOBUF if is_binary else _JSON)


def _get(questions: QueryService, trace_id: str) -> ShownTrace:
    try:
        return show_trace(questions.timelines.stitched(trace_id))
    except (NotFound, BadQuestion) as error:
        msg = "trace not found"
        raise NotFound(msg) from error
