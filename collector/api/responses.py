"""
Bodies of answers: values as JSON, and the one shape of every error.
"""

from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import Response

from collector.answers import Answer, encode
from collector.errors import CollectorError
from collector.http.errors import ErrorAnswer, ErrorBody, error_answer_of
from collector.http.headers import error_headers

JSON_TYPE = "application/json"
# What HTTP itself can go wrong with, before a question is asked.
_HTTP_CODES = {404: "no_such_path", 405: "method_not_allowed"}
_LISTED = "GET /openapi.json lists every path"
_SENDING = "this port only answers: send data to HOPLINE_INGEST_PORT, 4318 unless set"


def json_answer(
    value: Answer, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return *value* as a response."""
    return Response(encode(value), status_code=status, headers=headers, media_type=JSON_TYPE)


def error_answer(error: CollectorError) -> Response:
    """Return the answer that *error* stands for, with Retry-After where asking again helps."""
    headers = {name.decode(): value.decode() for name, value in error_headers(error)}
    return json_answer(error_answer_of(error), status=error.http_status, headers=headers)


def http_error_answer(
    status: int, path: str, method: str, headers: Mapping[str, str] | None
) -> Response:
    """Return the answer to a request that no route takes."""
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        message = f"{method} is not possible on {path}"
        hint = f"allowed: {headers['Allow']}" if headers and "Allow" in headers else ""
    elif status == HTTPStatus.NOT_FOUND:
        message, hint = f"there is no {path}", _SENDING if path.startswith("/v1/") else _LISTED
    else:
        message, hint = HTTPStatus(status).phrase, ""
    code = _HTTP_CODES.get(status, "bad_request")
    body = ErrorAnswer(ErrorBody(code, message, hint))
    return json_answer(body, status=status, headers=headers)
