"""`python -m dashboards` writes every dashboard as JSON beside this file."""

import json
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards import (
    data_quality,
    gateway_and_mesh,
    hopline,
    mesh_hops,
    overview,
    request,
    slow_requests,
)

FOLDER = Path(__file__).parent
_MODULES = (overview, slow_requests, request, gateway_and_mesh, mesh_hops, data_quality, hopline)


def render() -> dict[str, str]:
    """Return the text of each file by its name."""
    boards = [module.build().build() for module in _MODULES]
    return {
        f"{str(board.uid).removeprefix('hopline-')}.json": json.dumps(
            board, cls=JSONEncoder, indent=1, sort_keys=True
        )
        + "\n"
        for board in boards
    }


if __name__ == "__main__":
    for name, text in render().items():
        (FOLDER / name).write_text(text)
