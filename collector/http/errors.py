"""
The one shape of every error body that is not OTLP's.
"""

from typing import Any

from collector.errors import CollectorError


def error_document(error: CollectorError) -> dict[str, Any]:
    """Return the body that tells of *error*."""
    return error_shape(error.code, error.message, error.hint)


def error_shape(code: str, message: str, hint: str = "") -> dict[str, Any]:
    """Return the shape of every error body: a stable word, what happened, what to do."""
    return {"error": {"code": code, "message": message, "hint": hint}}
