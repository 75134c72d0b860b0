"""
Asking a running Hopline from the command line, with the standard library alone.
"""

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any

from collector.errors import BadQuestion, CollectorError, NotFound, QueryError, Unauthenticated

DEFAULT_URL = "http://127.0.0.1:8080"
_TIMEOUT_S = 60
_NAMES = ("HOPLINE_URL", "HOPLINE_TOKEN", "HOPLINE_API_PORT")
# A stream is kept alive by the server more often than this.
_SILENCE_S = 60
_MAX_BYTES = 512 * 1024 * 1024
_MAX_LINE_BYTES = 1024 * 1024
_KINDS: dict[int, type[CollectorError]] = {401: Unauthenticated, 404: NotFound}

Pairs = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Server:
    """
    The query API at *url*. Every method raises:

    BadQuestion: *url* is no http address. Never retried.
    Unauthenticated: the server wants another token. Never retried.
    NotFound: nothing is known under what was asked for.
    QueryError: nobody answers there, or the answer is an error; its words are passed on.
    """

    url: str
    token: str = ""

    @classmethod
    def from_environment(cls, url: str | None = None, token: str | None = None) -> "Server":
        """
        Return the server that options, HOPLINE_URL or HOPLINE_API_PORT name.

        Raises:
            ConfigError: a variable that looks like a setting is none.
        """
        if any(name.upper().startswith("HOPLINE_") and name not in _NAMES for name in os.environ):
            from collector.config import check_names  # reads all settings: slow to import

            check_names(os.environ)
        local = f"http://127.0.0.1:{os.environ.get('HOPLINE_API_PORT') or 8080}"
        return cls(
            url or os.environ.get("HOPLINE_URL") or local,
            token or os.environ.get("HOPLINE_TOKEN", ""),
        )

    def ask(self, path: str, pairs: Pairs = ()) -> dict[str, Any]:
        """Return the JSON that `GET` *path* is answered with."""
        document: dict[str, Any] = json.loads(self.read(path, pairs))
        return document

    def read(self, path: str, pairs: Pairs = ()) -> bytes:
        """Return what `GET` *path* is answered with."""
        with self._open(self._address(path, pairs), _TIMEOUT_S) as answer:
            return answer.read(_MAX_BYTES)

    def send(self, path: str, document: object) -> dict[str, Any]:
        """`POST` a JSON document to *path* and return the JSON of the answer."""
        body = json.dumps(document).encode()
        with self._open(self._address(path, ()), _TIMEOUT_S, body) as answer:
            answered: dict[str, Any] = json.loads(answer.read(_MAX_BYTES))
        return answered

    def follow(self, path: str, pairs: Pairs = ()) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the events of a stream by name, until the server ends it."""
        with self._open(self._address(path, pairs), _SILENCE_S) as answer:
            name = ""
            while line := answer.readline(_MAX_LINE_BYTES):
                field, _, value = line.decode("utf-8", "replace").rstrip("\r\n").partition(": ")
                if field == "event":
                    name = value
                elif field == "data":
                    yield name or "message", json.loads(value)
                elif not field:
                    name = ""

    def _address(self, path: str, pairs: Pairs) -> str:
        if urllib.parse.urlsplit(self.url).scheme not in ("http", "https"):
            msg = f"{self.url!r} is not an http address"
            raise BadQuestion(msg, hint=f"for example --url {DEFAULT_URL}")
        query = urllib.parse.urlencode([pair for pair in pairs if pair[1]])
        return self.url.rstrip("/") + path + (f"?{query}" if query else "")

    @contextmanager
    def _open(
        self, address: str, timeout_s: int, body: bytes | None = None
    ) -> Iterator[HTTPResponse]:
        request = urllib.request.Request(address, body, {"Accept": "application/json"})  # noqa: S310
        if body is not None:
            request.add_header("Content-Type", "application/json")
        if self.token:
            request.add_unredirected_header("Authorization", f"Bearer {self.token}")
        try:
            with urllib.request.urlopen(request, timeout=timeout_s) as answer:  # noqa: S310
                yield answer
        except urllib.error.HTTPError as exc:
            with exc:
                raise _translate(exc.code, exc.read(65_536)) from exc
        except (OSError, ValueError) as exc:
            reason = getattr(exc, "reason", exc)
            msg = f"no answer from {self.url}: {reason}"
            hint = "is `hopline serve` running? --url or HOPLINE_URL name another place"
            raise QueryError(msg, hint=hint) from exc


def _translate(status: int, body: bytes) -> CollectorError:
    try:
        error: dict[str, Any] = json.loads(body)["error"]
        message, hint = str(error["message"]), str(error.get("hint", ""))
    except (ValueError, KeyError, TypeError):
        message, hint = f"the server answered {status}", ""
    kind = _KINDS.get(status, QueryError)
    if status == 401:
        hint = "give --token, or set HOPLINE_TOKEN"
    return kind(message, hint=hint)
