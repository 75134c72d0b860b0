"""
Asking a running Hopline from the command line, with the standard library alone.
"""

import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from collector.errors import BadQuestion, CollectorError, QueryError, Unauthenticated

_TIMEOUT_S = 60
_MAX_BYTES = 512 * 1024 * 1024


def fetch(url: str, path: str, *, token: str = "", accept: str = "application/json") -> bytes:
    """
    GET *path* of the query API at *url*.

    Raises:
        BadQuestion: *url* is no http address. Never retried.
        Unauthenticated: the server wants another token. Never retried.
        QueryError: nobody answers there, or the answer is an error; its words are passed on.
    """
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        msg = f"{url!r} is not an http address"
        raise BadQuestion(msg, hint="for example --url http://127.0.0.1:8080")
    request = urllib.request.Request(url.rstrip("/") + path, headers={"Accept": accept})  # noqa: S310
    if token:
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310
            body: bytes = answer.read(_MAX_BYTES)
            return body
    except urllib.error.HTTPError as exc:
        with exc:
            raise _translate(exc.code, exc.read(65_536)) from exc
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "reason", exc)
        msg = f"no answer from {url}: {reason}"
        raise QueryError(msg, hint="is `hopline serve` running? --url names another place") from exc


def _translate(status: int, body: bytes) -> CollectorError:
    try:
        error: dict[str, Any] = json.loads(body)["error"]
        message, hint = str(error["message"]), str(error.get("hint", ""))
    except (ValueError, KeyError, TypeError):
        message, hint = f"the server answered {status}", ""
    kind = Unauthenticated if status == 401 else QueryError
    if status == 401:
        hint = "give --token, or set HOPLINE_TOKEN"
    return kind(message, hint=hint)
