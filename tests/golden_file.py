"""Comparison with committed expected files; `make golden` rewrites them."""

import difflib
import os
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent / "golden"
_MAX_LINES = 60


def check_golden(path: Path, actual: str) -> None:
    """Compare *actual* with the file, or write the file when GOLDEN_WRITE is set."""
    if os.environ.get("GOLDEN_WRITE"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(actual)
        return
    expected = path.read_text() if path.exists() else ""
    if actual != expected:
        pytest.fail(
            f"{path.name} is out of date: run `make golden`, read the diff, commit it if it is"
            f" right\n{_diff(expected, actual)}",
            pytrace=False,
        )


def _diff(expected: str, actual: str) -> str:
    lines = list(
        difflib.unified_diff(
            expected.splitlines(), actual.splitlines(), "committed", "now", lineterm="", n=1
        )
    )
    more = len(lines) - _MAX_LINES
    return "\n".join(lines[:_MAX_LINES] + ([f"… {more} more lines"] if more > 0 else []))
