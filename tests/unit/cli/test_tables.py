"""Tables of a terminal: aligned in every script, within the line, harmless."""

import json

import pytest
import wcwidth
from hypothesis import given
from hypothesis import strategies as st

from collector.cli.ink import Ink, fit, write_json
from collector.cli.lists import draw_apis, draw_sources
from collector.cli.tables import draw_table, duration, number, share, text

COLUMNS = (text("API", "api"), number("REQUESTS", "requests"), duration("MS", "ms"))
NAMES = [
    "orders",
    "สวัสดีครับ",
    "हिन्दी सेवा",
    "注文サービス",
    "Bestellungen-für-Straße",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467 family",
    "e\u0301tude",
]


@pytest.mark.parametrize("name", NAMES)
def test_columns_line_up_in_every_script(name: str) -> None:
    """Marks take no cell, wide characters two: a number ends where its title does."""
    rows = [{"api": name, "requests": 7, "ms": 1.5}, {"api": "b", "requests": 1200, "ms": 0.25}]
    lines = list(draw_table(COLUMNS, rows, Ink(), 100))
    assert len({wcwidth.wcswidth(line) for line in lines}) == 1


def test_a_line_too_short_takes_from_the_widest_text() -> None:
    """Numbers are never cut, and what is cut says so."""
    rows = [{"api": "a" * 90, "requests": 123_456_789, "ms": 2.0}]
    lines = list(draw_table(COLUMNS, rows, Ink(), 50))
    assert max(map(len, lines)) <= 50
    assert "123,456,789" in lines[1]
    assert "…" in lines[1]


def test_what_nobody_knows_stays_empty() -> None:
    """Null is no zero, and a column in which nothing is known is left out."""
    rows = [{"api": "a", "requests": 0, "ms": None, "share": None}]
    lines = list(draw_table((*COLUMNS, share("SHARE", "share")), rows, Ink(), 80))
    assert lines == ["API  REQUESTS", "a           0"]


def test_requests_of_logs_alone_have_a_table_of_their_own() -> None:
    """Beside the APIs, and beside no API; there is none where every request is recorded."""
    known = {"name": "shop.internal", "requests": 12, "requests_per_s": 0.2, "p95_ms": 41}
    lines = list(draw_apis({"apis": [], "logged_only": [known], "note": ""}, Ink(), 100))
    assert lines[0] == "no API was called in this range"
    assert lines[2].split() == ["HOST,", "BY", "LOGS", "ONLY", "REQUESTS", "PER", "S", "P95", "MS"]
    assert lines[3].split() == ["shop.internal", "12", "0.20", "41.0"]
    assert not any("LOGS ONLY" in line for line in draw_apis({"logged_only": []}, Ink(), 100))


def test_sources_say_which_node_polls() -> None:
    """The node and since when, beside sources that nobody has to ask."""
    polled = {"stream": "pull", "source": "w/Table", "polled_by": "a:/data"}
    polled["polled_since"] = "2026-03-01T08:50:00.000000000Z"
    rows = [polled, {"stream": "trace", "source": "orders", "polled_by": "", "polled_since": None}]
    title, first, second = draw_sources({"sources": rows}, Ink(), 200)
    assert title.rstrip().endswith("POLLED BY")
    assert first.rstrip().endswith("a:/data since 2026-03-01T08:50:00Z")
    assert second.rstrip().endswith("never")


def test_names_cannot_steer_the_terminal() -> None:
    """Controls, colours and reading directions in a cell are shown, not obeyed."""
    rows = [{"api": "a\x1b[31mb\u202ec\nd\u2066e", "requests": 1, "ms": 1.0}]
    line = list(draw_table(COLUMNS, rows, Ink(), 120))[1]
    assert "a\\x1b[31mb\\u202ec\\x0ad\\u2066e" in line
    assert all(character.isprintable() for character in line)


def test_json_is_harmless_and_means_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """What a terminal would obey stands as an escape of JSON, which reads back as it was."""
    document = {"name": "a\u202eb\x9bc\u2028d\U000e0041", "fine": "für हिन्दी 👩‍👧"}
    write_json(document)
    written = capsys.readouterr().out
    assert json.loads(written) == document
    assert "\\u202e" in written
    assert not set("\u202e\x9b\u2028\U000e0041") & set(written)


@given(st.text(max_size=40), st.integers(1, 60))
def test_fitted_text_has_its_width_in_every_script(value: str, cells: int) -> None:
    """Whatever the text, a cell of the table is as wide as its column."""
    clean = Ink().clean(value)
    assert max(wcwidth.wcswidth(fit(clean, cells)), 0) == cells
