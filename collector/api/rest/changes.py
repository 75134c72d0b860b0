"""
`POST /api/v1/changes`: what deployment tools say they changed.

The only question that writes. It takes JSON by its media type alone, which a page of another origin
cannot send without being asked for it first.
"""

import json
from collections.abc import AsyncIterator

from fastapi import APIRouter, Request
from starlette.responses import Response

from collector.answers import encode
from collector.api.responses import JSON_TYPE
from collector.api.rest import openapi
from collector.api.workers import Workers
from collector.errors import BadQuestion, TooLarge, UnsupportedFormat
from collector.query.service import QueryService

_MAX_BYTES = 16 * 1024


def build_change_routes(questions: QueryService, workers: Workers) -> APIRouter:
    """Return the route."""
    router = APIRouter()

    @router.post("/api/v1/changes", status_code=201, **openapi.TELL_CHANGE)
    async def tell_change(request: Request) -> Response:
        media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media != "application/json":
            msg = f"content-type: {media[:80]!r} is not application/json"
            raise UnsupportedFormat(msg)
        body = await _read(request.stream())
        try:
            document = json.loads(body)
        except ValueError as exc:
            msg = f"the body is not JSON: {exc}"
            raise BadQuestion(msg) from exc
        answer = await workers.run(lambda: encode(questions.reports.tell_change(document)))
        return Response(answer, status_code=201, media_type=JSON_TYPE)

    return router


async def _read(chunks: AsyncIterator[bytes]) -> bytes:
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > _MAX_BYTES:
            msg = f"the body is longer than {_MAX_BYTES} bytes"
            raise TooLarge(msg)
    return bytes(body)
