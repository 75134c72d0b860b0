"""The picture of a timeline in the terminal."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.cli.explain import render_timeline
from collector.cli.ink import Ink, count_cells, fit, wrap
from collector.cli.waterfall import build_rows, fold, format_ms
from tests.unit.api.made_up import Document, make_span, make_timeline

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def bar_of(text: str, label: str) -> str:
    line = next(
        line for line in text.splitlines() if label in line and ("█" in line or "░" in line)
    )
    return "".join(character for character in line if character in "█░")


def test_the_picture_says_everything_once() -> None:
    """Headline, verdict, phases with their sum, waterfall, joins, findings and what is missing."""
    text = render_timeline(make_timeline(), width=120)
    for expected in (
        "GET /shop/orders/42  → 504  1.52 s",
        "consumer acme-mobile",
        "VERDICT  dependency · payments-db · timeout  (90% sure)",
        "↳ payments at 1505.0 ms: answered 504",
        "15.50–16.50 ms  TotalTime - BackendTime",
        "total           1520.0 ms 100.0%",
        "tier 0, 100.0%",
        "parent_span_id: a7",
        "fix: Send one.",
        "mailer: late, expected until 2026-03-01T09:45:00.000000000Z",
    ):
        assert text.count(expected) == 1, expected


@pytest.mark.parametrize("width", [80, 100, 120, 140, 180])
def test_the_waterfall_fits_the_width(width: int) -> None:
    """No line of the waterfall is wider than the terminal."""
    text = render_timeline(make_timeline(), width=width)
    rows = [line for line in text.splitlines() if "█" in line or "░" in line]
    assert len(rows) >= 6
    assert max(count_cells(line) for line in rows) <= width


def test_critical_cells_cover_the_request_once() -> None:
    """Bars are to scale, and the dark part of the slow span covers nearly all of it."""
    text = render_timeline(make_timeline(), width=140)
    dark = bar_of(text, "payments-db SELECT").count("█")
    full = len(bar_of(text, "azure-apim orders-api"))
    assert dark / full == pytest.approx(1470 / 1520, abs=0.05)
    assert "█" not in bar_of(text, "stock GET /stock")


def test_children_stand_below_their_parent_by_start() -> None:
    """Order is depth first, siblings by start."""
    labels = [row.label.split()[0] for row in build_rows(make_timeline(), 9)]
    assert labels == ["azure-apim", "ingress", "orders", "stock", "payments", "payments-db"]


def test_a_failed_span_is_marked() -> None:
    """A cross marks the failed span, and the legend says what it means."""
    text = render_timeline(make_timeline(), width=120)
    assert re.search(r"payments-db SELECT .* ✗ ", text)
    assert "✗ failed" in text


def test_the_ways_of_a_call_stand_below_their_phase() -> None:
    """Out and back are told with their bounds where the clocks could be compared."""
    document = make_timeline()
    for name, low, high in (("out", 31.5, 37.5), ("back", 2.5, 8.5)):
        way = {"name": name, "lower_ms": low, "upper_ms": high, "source": "apim to ingress"}
        way["duration_ms"] = (low + high) / 2
        document["phases"][0].setdefault("directions", []).append(way)
    text = render_timeline(document, width=120)
    assert re.search(r"^    out +34\.50 ms +31\.50–37\.50 ms  apim to ingress$", text, re.MULTILINE)
    assert re.search(r"^    back +5\.50 ms +2\.50–8\.50 ms  apim to ingress$", text, re.MULTILINE)


def test_what_was_moved_alike_is_said_once() -> None:
    """Spans that were moved by the same step for the same reason share a line that says why."""
    document = make_timeline()
    for span in document["spans"]:
        if span["service"] in ("orders", "stock", "payments"):
            reason = "fitted" if span["service"] != "payments" else "its clock is ahead"
            span.update(adjusted_by_ms=-0.456, adjusted_reason=reason)
    lines = render_timeline(document, width=120).splitlines()
    moved = [line for line in lines if "moved by" in line]
    assert moved[0] == "~ 2 rows moved by -0.456 ms: fitted"
    assert re.fullmatch(r"~ payments .* moved by -0\.456 ms: its clock is ahead", moved[1])
    assert len(moved) == 2


def test_without_colour_there_is_no_escape() -> None:
    """Output for a pipe has no escape sequence, and colour changes no character."""
    plain = render_timeline(make_timeline(), width=120)
    coloured = render_timeline(make_timeline(), width=120, ink=Ink(is_coloured=True))
    assert "\x1b" not in plain
    assert "\x1b[" in coloured
    assert ESCAPE.sub("", coloured) == plain


def test_a_plain_terminal_gets_ascii() -> None:
    """Where the encoding is not UTF-8 everything is drawn with ASCII."""
    document = make_timeline()
    document["spans"][2]["name"] = "GET /bücher"
    text = render_timeline(document, width=120, ink=Ink(is_unicode=False))
    assert text.isascii()
    assert "GET /b?cher" in text


def test_names_can_not_steer_the_terminal() -> None:
    """Control, bidirectional and line characters from senders come out as escapes."""
    document = make_timeline()
    document["spans"][1]["name"] = "evil\x1b[2J\u202e\r\n\u2028z"
    document["gateway_records"][0]["path"] = "/\x1b]0;owned\x07"
    document["verdict"]["reason"] = "because\x9b31m"
    text = render_timeline(document, width=180)
    assert not set(text) & set("\x1b\x07\x9b\r\u202e\u2028")
    assert r"evil\x1b[2J\u202e\x0d\x0a\u2028z" in text


def test_a_record_without_spans_is_a_picture_too() -> None:
    """A request that the gateway answered alone has one row, from its record."""
    document = make_timeline()
    document |= {"spans": [], "critical_path": [], "links": []}
    document["hops"] = [{"role": "gateway", "service": "azure-apim", "self_ms": 1520.0}]
    text = render_timeline(document, width=120)
    assert "azure-apim orders-api" in text


@pytest.mark.parametrize(
    ("attributes", "facts"),
    [
        (
            {"gen_ai.request.model": "m-4", "gen_ai.usage.total_tokens": "120"},
            "model m-4 · tokens 120",
        ),
        ({"graphql.operation.name": "Lift", "graphql.operation.type": "query"}, "graphql Lift"),
        ({"rpc.grpc.status_code": "14", "rpc.grpc.message": "no pilot"}, "grpc status 14"),
        ({"grpc.status": "4", "unknown": "x"}, "grpc status 4"),
    ],
)
def test_what_is_more_than_rest_is_told(attributes: dict[str, str], facts: str) -> None:
    """The model and its tokens, the GraphQL operation, the status in gRPC's trailers."""
    document = make_timeline()
    document["gateway_records"][0]["attributes"] = attributes
    lines = render_timeline(document, width=180).splitlines()
    assert any(line.startswith("azure-apim · ") and line.endswith(facts) for line in lines)


def test_an_empty_document_is_no_error() -> None:
    """A document of another version, with fields missing, still gives a headline."""
    assert render_timeline({}, width=100).startswith("request")


def test_many_spans_are_folded() -> None:
    """Of a thousand spans the failed and the critical ones are shown, the rest is counted."""
    document = make_timeline()
    document["spans"] += [
        make_span(f"x{n}", "s1", "app", "stock", f"tick {n}", 20, 0.1) for n in range(1000)
    ]
    text = render_timeline(document, width=120)
    assert "926 more rows are not shown" in text
    assert "payments-db SELECT" in text


def test_a_cycle_of_parents_is_drawn() -> None:
    """Spans that are each other's parent appear once each."""
    spans = [
        make_span("a", "b", "app", "one", "x", 0, 5),
        make_span("b", "a", "app", "two", "y", 1, 3),
        make_span("c", "c", "app", "three", "z", 2, 1),
    ]
    rows = build_rows({"spans": spans, "duration_ms": 5.0}, 9)
    assert sorted(row.label for row in rows) == ["one x", "three z", "two y"]


@pytest.mark.parametrize(("width", "levels"), [(80, 4), (120, 9), (180, 16)])
def test_a_deep_tree_does_not_push_the_names_away(width: int, levels: int) -> None:
    """Indentation ends where names need the room; from there a number says how deep a row is."""
    spans = [
        make_span(f"s{n}", f"s{n - 1}" if n else "", "app", f"svc{n}", "work", n, 500 - n)
        for n in range(70)
    ]
    text = render_timeline({"spans": spans, "duration_ms": 500.0}, width=width)
    rows = [line for line in text.splitlines() if "svc" in line and "░" in line]
    assert f"{'  ' * (levels - 1)}└ svc{levels} work" in rows[levels]
    for depth in range(levels + 1, 70):
        assert rows[depth].startswith(f"{'  ' * (levels - 1)}└ {depth}: svc{depth}")
    assert f"{levels + 1}: the level of a row" in text
    assert "the level of" not in render_timeline(
        {"spans": spans[:5], "duration_ms": 500.0}, width=80
    )


def test_folding_keeps_the_order() -> None:
    """Rows that stay are in their old order."""
    rows = build_rows(make_timeline(), 9)
    kept, hidden = fold(rows, 3)
    assert hidden == 3
    assert [row.label.split()[0] for row in kept] == ["azure-apim", "orders", "payments-db"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.00"),
        (0.0123, "0.012"),
        (1.5, "1.50"),
        (152.04, "152.0"),
        (12_345.6, "12346"),
        (25_000_000.0, "25000 s"),
        (400_000_000.0, "111.1 h"),
        (9e12, "104167 d"),
    ],
)
def test_milliseconds_fit_eight_characters(value: float, text: str) -> None:
    """Each size has its own precision."""
    assert format_ms(value) == text
    assert len(text) <= 8


@given(st.text(max_size=60), st.integers(1, 60))
def test_fitted_text_has_exactly_its_width(text: str, cells: int) -> None:
    """Clean text is cut or padded to the cell, wide characters included."""
    assert count_cells(fit(Ink().clean(text), cells)) == cells


@given(st.text(max_size=80), st.integers(2, 40))
def test_wrapped_lines_are_narrow_and_lose_nothing(text: str, cells: int) -> None:
    """Wrapping keeps every character that is no space of any kind."""
    clean = Ink().clean(text)
    lines = wrap(clean, cells)
    assert all(count_cells(line) <= cells for line in lines)
    assert "".join("".join(lines).split()) == "".join(clean.split())


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.tuples(st.floats(-1e12, 1e12), st.floats(0, 1e12)), max_size=12))
def test_any_times_give_a_picture(times: list[tuple[float, float]]) -> None:
    """Spans of any start and length are drawn inside the width."""
    document: Document = {
        "spans": [
            make_span(str(n), str(n - 1), "app", "svc", "op", start, duration)
            for n, (start, duration) in enumerate(times)
        ],
        "duration_ms": 10.0,
    }
    text = render_timeline(document, width=100)
    assert all(count_cells(line) <= 100 for line in text.splitlines())
