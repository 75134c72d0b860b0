"""
The web pages: files of this package, read once; nothing comes from another host.
"""

from pathlib import Path

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

_FOLDER = Path(__file__).parent
_TYPES = {
    "index.html": "text/html; charset=utf-8",
    "docs.html": "text/html; charset=utf-8",
    "docs.js": "text/javascript; charset=utf-8",
    "hopline.css": "text/css; charset=utf-8",
    "hopline.js": "text/javascript; charset=utf-8",
}


def add_pages(app: FastAPI) -> None:
    """Add `/`, `/docs` and what they need. They hold no data: the scripts ask the API for it."""
    files = {name: (_FOLDER / name).read_bytes() for name in _TYPES}

    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        return Response(files["index.html"], media_type=_TYPES["index.html"])

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return Response(files["docs.html"], media_type=_TYPES["docs.html"])

    @app.get("/page/{name}", include_in_schema=False)
    async def file(request: Request) -> Response:
        name = str(request.path_params["name"])
        if name not in files:
            raise HTTPException(404)
        return Response(files[name], media_type=_TYPES[name])
