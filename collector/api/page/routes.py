"""
The web pages: files of this package, read once; nothing comes from another host.

Every page is the same document, whose script shows what the address says. Addresses have one
segment, and everything in them is relative, so that the pages also work below a proxy's path.
"""

import gzip
import hashlib
import posixpath
import re
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

_FOLDER = Path(__file__).parent
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_HTML = "text/html; charset=utf-8"
# Pages by address, and the script that draws each; `main.js` has the same list.
PAGES = {
    "/": "home/page.js",
    "/requests": "search/page.js",
    "/request": "timeline/page.js",
    "/slow": "slow/page.js",
    "/map": "map/page.js",
    "/changes": "lists/changes.js",
    "/compare": "compare/page.js",
    "/doctor": "lists/doctor.js",
    "/outcomes": "lists/outcomes.js",
    "/sources": "lists/sources.js",
}
# Nobody needs a token to get these: they hold no data.
OPEN_PATHS = frozenset({*PAGES, "/docs"})
OPEN_PREFIXES = ("/page/", "/trace/")
_STATIC_IMPORT = re.compile(rb"""^(?:import|export) [^;]*?from ?"(\./[^"]+|\.\./[^"]+)";""", re.M)
# What the pages' own scripts say to people only: a sixth of them, zipped.
_COMMENTS = re.compile(rb"^[ \t]*//[^\n]*\n|/\*\*.*?\*/[ \t]*", re.M | re.S)
_MODULES = b"<!-- modules: written by the server -->"
_INDENT = re.compile(rb"^[ \t]+", re.M)
# Browsers find modules by address only, and an import map would have to stand inline.
_BARE_IMPORT = (b'from"preact"', b'from"./preact.mjs"')
# uPlot is published minified as a script with a global only.
_NAMED = {"uPlot.iife.min.js": b"export default uPlot;\n"}


class File(NamedTuple):
    """A file as it is served, plain and zipped."""

    body: bytes
    zipped: bytes
    tag: str
    media_type: str


def add_pages(app: FastAPI) -> None:
    """Add every page, `/docs` and what they need. They hold no data: scripts ask the API for it."""
    files = read_files()
    index = (_FOLDER / "index.html").read_bytes()
    docs = _make_file((_FOLDER / "docs.html").read_bytes(), _HTML)

    for path, script in PAGES.items():
        endpoint = _endpoint(_make_page(index, files, script))
        app.add_api_route(path, endpoint, methods=["GET"], include_in_schema=False)

    @app.get("/docs", include_in_schema=False)
    async def documentation(request: Request) -> Response:
        return _answer(docs, request.headers)

    @app.get("/trace/{id}", include_in_schema=False)
    async def as_jaeger(request: Request) -> Response:
        """Lead the links that tools make for Jaeger's own pages to the request."""
        id_ = quote(str(request.path_params["id"]), safe="")
        return RedirectResponse(f"../request?id={id_}", status_code=307)

    @app.get("/page/{name:path}", include_in_schema=False)
    async def file(request: Request) -> Response:
        name = str(request.path_params["name"])
        if name not in files:
            raise HTTPException(404)
        return _answer(files[name], request.headers)


def _endpoint(file: File) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    async def page(request: Request) -> Response:
        return _answer(file, request.headers)

    return page


def read_files() -> dict[str, File]:
    """Return every file by its address below `page/`, as it is served."""
    files = {}
    for path in sorted(_FOLDER.rglob("*")):
        if path.suffix not in _TYPES:
            continue
        body = path.read_bytes()
        if path.parent.name == "preact":
            body = body.replace(*_BARE_IMPORT)
        if path.suffix == ".js":
            is_own = path.parents[1].name != "vendor"
            body = _INDENT.sub(b"", _COMMENTS.sub(b"", body) if is_own else body)
            body += _NAMED.get(path.name, b"")
        name = path.relative_to(_FOLDER).as_posix()
        files[name] = _make_file(body, _TYPES[path.suffix])
    return files


def _make_page(index: bytes, files: Mapping[str, File], script: str) -> File:
    """Name every module at once: found one in the other, they took a round trip a level."""
    found = {"main.js", script}
    waiting = [*found]
    while waiting:
        name = waiting.pop()
        for target in _STATIC_IMPORT.findall(files[name].body):
            inner = posixpath.normpath(posixpath.join(posixpath.dirname(name), target.decode()))
            if inner not in found:
                found.add(inner)
                waiting.append(inner)
    links = "\n".join(f'<link rel="modulepreload" href="page/{name}">' for name in sorted(found))
    return _make_file(index.replace(_MODULES, links.encode()), _HTML)


def _make_file(body: bytes, media_type: str) -> File:
    tag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    return File(body, gzip.compress(body, 9, mtime=0), tag, media_type)


def _answer(file: File, headers: Headers) -> Response:
    """Answer with the file, zipped where that is welcome, or that the reader has it already."""
    sent = {"ETag": file.tag, "Vary": "Accept-Encoding"}
    if file.tag in headers.get("if-none-match", ""):
        return Response(status_code=304, headers=sent)
    if "gzip" in headers.get("accept-encoding", ""):
        zipped = sent | {"Content-Encoding": "gzip"}
        return Response(file.zipped, media_type=file.media_type, headers=zipped)
    return Response(file.body, media_type=file.media_type, headers=sent)
