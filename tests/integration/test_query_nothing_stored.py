"""Answers about many requests while nothing has arrived yet."""

from pathlib import Path

from tests.api_client import serving
from tests.stories import asking


def test_an_empty_store_answers(tmp_path: Path) -> None:
    """Before anything arrived every answer is empty and says so."""
    with asking([], tmp_path) as (questions, _), serving(questions) as asker:
        for path in ("doctor", "joins", "outcomes"):
            document = asker.get(f"/api/v1/{path}")
            assert document["note"] == "Nothing is stored yet."
            assert document["looked_at"] == 0
