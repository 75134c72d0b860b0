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

from collector.api.page.bundles import bundle, strip_comments

_FOLDER = Path(__file__).parent
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_HTML = "text/html; charset=utf-8"
# Pages by address, and the script that draws each: the two large ones come when they are opened.
PAGES = dict.fromkeys(
    ("/", "/requests", "/slow", "/changes", "/compare", "/doctor", "/outcomes", "/sources"),
    "main.js",
) | {"/request": "timeline/page.js", "/map": "map/page.js"}
# Nobody needs a token to get these: they hold no data.
OPEN_PATHS = frozenset({*PAGES, "/docs"})
OPEN_PREFIXES = ("/page/", "/trace/")
# In the order in which they are read: the later rule wins.
_STYLES = (
    "vendor/uplot/uPlot.min.css",
    "style/tokens.css",
    "style/page.css",
    "style/parts.css",
    "style/timeline.css",
    "style/lists.css",
    "style/questions.css",
)
_STATIC_IMPORT = re.compile(rb'^import [^;]*? from "(\.[^"]+)";', re.M)
_MODULES = b"<!-- modules: written by the server -->"
# Browsers find modules by address only, and an import map would have to stand inline.
_BARE_IMPORT = ('from"preact"', 'from"./preact.mjs"')
# uPlot is published minified as a script with a global only.
_NAMED = {"uPlot.iife.min.js": "export default uPlot;\n"}


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

    for path in PAGES:
        endpoint = _endpoint(_make_page(index, files, path))
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
    scripts = bundle(read_scripts(), ("early.js", "main.js", "docs.js"), "main.js")
    style = "".join((_FOLDER / name).read_text() for name in _STYLES)
    bodies = scripts | {"style.css": style, "icon.svg": (_FOLDER / "icon.svg").read_text()}
    return {
        name: _make_file(body.encode(), _TYPES[posixpath.splitext(name)[1]])
        for name, body in bodies.items()
    }


def read_scripts() -> dict[str, str]:
    """Return every module by its path, without comments."""
    found = {}
    for path in sorted((*_FOLDER.rglob("*.js"), *_FOLDER.rglob("*.mjs"))):
        name, text = path.relative_to(_FOLDER).as_posix(), path.read_text()
        found[name] = strip_comments(text.replace(*_BARE_IMPORT)) + _NAMED.get(path.name, "")
    return found


def find_needed(files: Mapping[str, File], page: str) -> set[str]:
    """Return the scripts without which the page at that address draws nothing."""
    found = {"early.js", "main.js", PAGES[page]}
    waiting = [*found]
    while waiting:
        name = waiting.pop()
        for target in _STATIC_IMPORT.findall(files[name].body):
            inner = posixpath.normpath(posixpath.join(posixpath.dirname(name), target.decode()))
            if inner not in found:
                found.add(inner)
                waiting.append(inner)
    return found


def _make_page(index: bytes, files: Mapping[str, File], page: str) -> File:
    """Name every script at once: found one in the other, they took a round trip a level."""
    names = sorted(find_needed(files, page))
    links = "\n".join(f'<link rel="modulepreload" href="page/{name}">' for name in names)
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
