"""
The paths of Jaeger's third query API: traces as OTLP.

Source: jaegertracing/jaeger v2.20 jaegerquery apiv3/http_gateway.go; jaegertracing/jaeger-idl
proto/api_v3/query_service.proto; jaegertracing/jaeger-ui packages/jaeger-ui/src/api/v3.
"""

import base64
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from collector.api.jaeger.render import render_operations
from collector.api.traces.otlp import render_resource_spans
from collector.api.traces.shown import ShownTrace, show_trace
from collector.api.workers import Workers
from collector.errors import BadQuestion, CollectorError, NotFound
from collector.query.reports.trace_search import parse_trace_query
from collector.query.search.filters import read_boolean
from collector.query.service import QueryService

Document = dict[str, Any]

_HEX = re.compile(r"[0-9a-fA-F]{1,32}", re.ASCII)
# 8 or 16 bytes, in either alphabet, padded or not
_BASE64 = re.compile(r"([A-Za-z0-9+/_\-]{11})=?|([A-Za-z0-9+/_\-]{22})(?:==)?", re.ASCII)
_NO_TRACES = "No traces found"


def build_v3_routes(questions: QueryService, workers: Workers, lists: Workers) -> APIRouter:
    """Return the routes below `/api/v3`; *workers* look up a trace, *lists* all else."""
    router = APIRouter(prefix="/api/v3", tags=["jaeger"], include_in_schema=False)

    @router.get("/services")
    async def services() -> Response:
        return await _answer(lists, lambda: {"services": questions.traces.services()})

    @router.get("/operations")
    async def operations(request: Request) -> Response:
        given = request.query_params
        kind = given.get("spanKind") or given.get("span_kind", "")
        service = given.get("service", "")

        def ask() -> Document:
            found = find_operations(questions, service, kind)
            return {"operations": render_operations((n, k or "internal") for n, k in found)}

        return await _answer(lists, ask)

    @router.get("/traces")
    async def search(request: Request) -> Response:
        return await _answer(lists, lambda: _wrap(_find(questions, request)))

    @router.get("/trace-summaries")
    async def summaries(request: Request) -> Response:
        def ask() -> Document:
            return {"summaries": [summarise(trace) for trace in _find(questions, request)]}

        return await _answer(lists, ask)

    @router.get("/traces/{trace_id:path}")
    async def trace(request: Request) -> Response:
        return await _answer(workers, lambda: _wrap([_get(questions, request)]))

    return router


async def _answer(workers: Workers, ask: Callable[[], Document]) -> Response:
    """Return what *ask* returns as JSON, or the error it raises as gRPC's gateway writes it."""
    status = 200
    try:
        body = await workers.run(lambda: orjson.dumps(ask()))
    except CollectorError as error:
        status = error.http_status
        body = orjson.dumps({"error": {"httpCode": status, "message": error.message}})
    return Response(body, status_code=status, media_type="application/json")


def _wrap(traces: list[ShownTrace]) -> Document:
    if not traces:
        raise NotFound(_NO_TRACES)
    return {"result": {"resourceSpans": render_resource_spans(traces)}}


def _find(questions: QueryService, request: Request) -> list[ShownTrace]:
    pairs = request.query_params.multi_items()
    search = parse_trace_query(pairs, now_ns=questions.now_ns())
    shown = (show_trace(each, is_raw=search.is_raw) for each in questions.traces.find(search))
    return [trace for trace in shown if trace.spans]


def _get(questions: QueryService, request: Request) -> ShownTrace:
    given = request.query_params
    raw = given.get("rawTraces") or given.get("raw_traces", "")
    is_raw = bool(raw) and read_boolean("rawTraces", raw)
    return get_trace(questions, str(request.path_params["trace_id"]), is_raw=is_raw)


def get_trace(questions: QueryService, trace_id: str, *, is_raw: bool) -> ShownTrace:
    """
    Return one trace by an id as Jaeger writes it: 1 to 32 hexadecimal digits, or base64.

    Raises:
        BadQuestion: it is no such id.
        NotFound: nothing is known under it.
    """
    digits = _read_trace_id(trace_id)
    try:
        trace = show_trace(questions.timelines.stitched(digits), is_raw=is_raw)
    except (NotFound, BadQuestion) as error:
        raise NotFound(_NO_TRACES) from error
    if not trace.spans:
        raise NotFound(_NO_TRACES)
    return trace


def _read_trace_id(text: str) -> str:
    if _HEX.fullmatch(text):
        return text
    if match := _BASE64.fullmatch(text):
        packed = (match[1] or match[2]) + "=="
        return base64.urlsafe_b64decode(packed.replace("+", "-").replace("/", "_")).hex()
    msg = f"malformed parameter trace_id: {text[:80]!r}"
    raise BadQuestion(msg)


def find_operations(questions: QueryService, service: str, kind: str) -> list[tuple[str, str]]:
    """
    Return (name, kind) of a service's operations, of one kind or of all ("").

    Raises:
        BadQuestion: no service is given.
    """
    if not service:
        msg = "service: is missing"
        raise BadQuestion(msg)
    found = questions.traces.operations(service)
    return [each for each in found if not kind or each[1].lower() == kind.lower()]


def summarise(trace: ShownTrace) -> Document:
    """Return a trace as Jaeger's page of results lists it."""
    root = trace.find_root()
    counts = Counter(span.service for span in trace.spans)
    errors = Counter(span.service for span in trace.spans if span.is_error)
    return {
        "traceId": trace.trace_id,
        "rootServiceName": root.service,
        "rootOperationName": root.name,
        "minStartTimeUnixNano": str(min(span.start_ns for span in trace.spans)),
        "maxEndTimeUnixNano": str(max(span.end_ns for span in trace.spans)),
        "spanCount": len(trace.spans),
        "errorSpanCount": errors.total(),
        "orphanSpanCount": trace.count_orphans(),
        "services": [
            {"name": name, "spanCount": counts[name], "errorSpanCount": errors[name]}
            for name in sorted(counts)
        ],
    }
