"""
The paths of answers about many requests: doctor, joins and outcomes.
"""

from collections.abc import Callable
from typing import Any

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from collector.api.rest import openapi as schemas
from collector.api.rest import report_serialize as sample_render
from collector.api.workers import Workers
from collector.query.service import QueryService


def build_sample_routes(questions: QueryService, workers: Workers) -> APIRouter:
    """Return the routes below `/api/v1`."""
    router = APIRouter()

    async def answer(ask: Callable[[], Any]) -> Response:
        body = await workers.run(lambda: orjson.dumps(ask()))
        return Response(body, media_type="application/json")

    @router.get("/api/v1/doctor", **schemas.DOCTOR)
    async def doctor(request: Request) -> Response:
        pairs = request.query_params.multi_items()
        return await answer(lambda: sample_render.render_doctor(questions.doctor.report(pairs)))

    @router.get("/api/v1/joins", **schemas.JOINS)
    async def joins(request: Request) -> Response:
        pairs = request.query_params.multi_items()
        return await answer(lambda: sample_render.render_joins(questions.joins.report(pairs)))

    @router.get("/api/v1/outcomes", **schemas.OUTCOMES)
    async def outcomes(request: Request) -> Response:
        pairs = request.query_params.multi_items()
        return await answer(lambda: sample_render.render_outcomes(questions.outcomes.report(pairs)))

    return router
