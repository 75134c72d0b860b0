"""
The one shape of every error body that is not OTLP's.
"""

from dataclasses import asdict, dataclass
from typing import Any

from collector.answers import Answer
from collector.errors import CollectorError


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """A stable word, what happened, and what to do about it."""

    code: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class ErrorAnswer(Answer):
    """The one shape of every error."""

    error: ErrorBody


def error_answer_of(error: CollectorError) -> ErrorAnswer:
    """Return what is told of *error*."""
    return ErrorAnswer(ErrorBody(error.code, error.message, error.hint))


def error_document(error: CollectorError) -> dict[str, Any]:
    """Return the body that tells of *error*."""
    return asdict(error_answer_of(error))
