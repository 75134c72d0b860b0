"""
The web page: three files from the package, read once; nothing comes from another host.
"""

from pathlib import Path

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

_FOLDER = Path(__file__).parent / "page"
_TYPES = {
    "index.html": "text/html; charset=utf-8",
    "hopline.css": "text/css; charset=utf-8",
    "hopline.js": "text/javascript; charset=utf-8",
}


def add_pages(app: FastAPI) -> None:
    """Add `/` and the files it needs. They hold no data: the script asks the API for it."""
    files = {name: (_FOLDER / name).read_bytes() for name in _TYPES}

    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        return Response(files["index.html"], media_type=_TYPES["index.html"])

    @app.get("/page/{name}", include_in_schema=False)
    async def file(request: Request) -> Response:
        name = str(request.path_params["name"])
        if name not in files:
            raise HTTPException(404)
        return Response(files[name], media_type=_TYPES[name])
