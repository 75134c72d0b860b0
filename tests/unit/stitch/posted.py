"""
Traces of kinds that people post, as text, with what has to be told of them.

A block is a title, one line a span (indented under its parent), the verdict and the hops:

    # polling until it is done
    web server 0+100 200
      web client 5+15 url=GET:http://jobs/7 202
    => none ok
    | service web

A span is service, kind, start+duration in ms, and then in any order: a status code, `Error` or
`Ok`, `lost=` when its parent never arrived, and attributes. `url=`, `queue=` and `db=` stand for
the attributes of a call, a message and a query.
"""

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from collector.model import Span
from tests.unit.stitch.building import TraceBuilder

_FILE = Path(__file__).parents[2] / "fixtures" / "posted_traces.txt"
_LOST = "f" * 15


@dataclass(slots=True)
class Posted:
    """One trace: its spans, the verdict in words, the picture of its hops."""

    title: str
    spans: list[Span] = field(default_factory=list)
    verdict: str = ""
    hops: list[str] = field(default_factory=list)


def load_posted() -> list[Posted]:
    """Return all traces of the file."""
    return [_read(block) for block in _FILE.read_text().strip().split("\n\n")]


def _read(block: str) -> Posted:
    title, *lines = block.splitlines()
    posted, trace = Posted(title.removeprefix("# ")), TraceBuilder()
    above: list[Span] = []
    for line in lines:
        if line.startswith("=> "):
            posted.verdict = line.removeprefix("=> ")
        elif line.startswith("| "):
            posted.hops.append(line.removeprefix("| "))
        else:
            depth = (len(line) - len(line.lstrip())) // 2
            del above[depth:]
            above.append(_add(trace, above[-1] if above else None, shlex.split(line)))
    posted.spans = trace.spans
    return posted


def _add(trace: TraceBuilder, parent: Span | None, words: list[str]) -> Span:
    service, kind, times, *rest = words
    at, ms = (float(part) for part in times.split("+"))
    more: dict[str, Any] = {}
    attributes: dict[str, str] = {}
    above: Span | str | None = parent
    for word in rest:
        key, _, value = word.partition("=")
        if word.isdigit():
            attributes["http.response.status_code"] = word
        elif word in ("Error", "Ok"):
            more["status"] = word
        elif key in ("name", "message"):
            more["name" if key == "name" else "status_message"] = value
        elif key == "lost":
            above = _LOST + value
        elif key == "host":
            more["resource"] = {"host.name": value}
        else:
            attributes |= _named(key, value)
    kind = "Unspecified" if kind == "span" else kind.capitalize()
    return trace.span(service, at, ms, above, kind, attributes=attributes, **more)


def _named(key: str, value: str) -> dict[str, str]:
    if key == "url":
        method, _, url = value.partition(":")
        host = url.partition("://")[2].partition("/")[0]
        return {"http.request.method": method, "url.full": url, "server.address": host}
    if key == "queue":
        system, _, destination = value.partition("/")
        return {"messaging.system": system, "messaging.destination.name": destination}
    return {"db.system" if key == "db" else key: value}
