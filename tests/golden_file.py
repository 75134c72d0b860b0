"""Comparison with committed expected files; `make golden` rewrites them."""

import os
from pathlib import Path

GOLDEN = Path(__file__).parent / "golden"


def check_golden(path: Path, actual: str) -> None:
    """Compare *actual* with the file, or write the file when GOLDEN_WRITE is set."""
    if os.environ.get("GOLDEN_WRITE"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(actual)
        return
    expected = path.read_text() if path.exists() else ""
    assert actual == expected, (
        f"{path.name} is out of date: run `make golden`, read the diff, commit it if it is right"
    )
