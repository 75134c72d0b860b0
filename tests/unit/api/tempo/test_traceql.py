"""TraceQL: what is understood, and how the rest is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.api.tempo.matching import Matcher
from collector.api.tempo.pipeline import find_spansets
from collector.api.tempo.query import (
    Attribute,
    Both,
    Comparison,
    Constant,
    Not,
    Spansets,
)
from collector.api.tempo.traceql import parse_traceql
from collector.api.traces.shown import ShownSpan, ShownTrace
from collector.errors import BadQuestion
from collector.model import SpanEvent
from tests.stories import MS, SECOND


def span(span_id: str, parent: str = "", **given: object) -> ShownSpan:
    values: dict[str, object] = {
        "span_id": span_id,
        "parent_id": parent,
        "name": "GET /orders/{id}",
        "service": "orders",
        "start_ns": SECOND,
        "duration_ns": 100 * MS,
        "kind": "server",
        "status": "",
        "status_message": "",
        "attributes": {"http.status_code": 200, "cache.hit": True, "order.id": "4711"},
        "resource": {"host.name": "node-1", "http.status_code": 1},
    }
    return ShownSpan(**{**values, **given})  # type: ignore[arg-type]  # checked by the tests


TRACE = ShownTrace(
    "ab" * 16,
    (
        span("01", service="azure-apim", name="orders-api", kind="", resource={}),
        span(
            "02",
            "01",
            status="error",
            status_message="no such order",
            duration_ns=2 * SECOND,
            attributes={"http.status_code": 500, "share": 0.5, "odd name": 'a "quoted" b'},
        ),
        span(
            "03",
            "02",
            service="payments",
            name="POST /charge",
            kind="client",
            events=[
                SpanEvent(SECOND, "retry", {}),
                SpanEvent(
                    SECOND, "exception", {"exception.type": "Timeout", "exception.retry": "2"}
                ),
                SpanEvent(SECOND, "exception", {"exception.type": "Gone"}),
            ],
        ),
    ),
)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", "01 02 03"),
        ("{}", "01 02 03"),
        ("{ true }", "01 02 03"),
        ("{ false }", ""),
        ('{ resource.service.name = "orders" }', "02"),
        ('{.service.name="orders"}', "02"),
        ('{ span.service.name = "orders" }', ""),
        ('{ "orders" = resource.service.name }', "02"),
        ("{ 400 <= .http.status_code }", "02"),
        ("{ span.http.status_code >= 500 }", "02"),
        ("{ span.http.status_code = 200.0 }", "01 03"),
        ('{ span.http.status_code = "500" }', "02"),
        ("{ resource.http.status_code = 1 }", "02 03"),
        ('{ .http.status_code != "500" }', "01 03"),
        ("{ .share < 0.75 }", "02"),
        ("{ .cache.hit }", "01 03"),
        ("{ .cache.hit = false }", ""),
        ("{ .cache.hit != true }", ""),
        ("{ !.cache.hit }", "02"),
        ("{ .share = nil }", "01 03"),
        ("{ .share != nil }", "02"),
        ("{ .order.id = 4711 }", "01 03"),
        ('{ span."odd name" = "a \\"quoted\\" b" }', "02"),
        ("{ name = `POST /charge` }", "03"),
        ('{ name =~ "POST|.*api" }', "01"),
        ('{ name !~ ".*/.*" }', "01"),
        ("{ status = error }", "02"),
        ("{ status = unset && kind = client }", "03"),
        ("{ status != error }", "01 03"),
        ("{ span:status = error && span:kind = server }", "02"),
        ('{ statusMessage = "no such order" }', "02"),
        ("{ kind = unspecified }", "01"),
        ("{ duration > 1.5s }", "02"),
        ("{ duration < 1s200ms }", "01 03"),
        ("{ traceDuration >= 2s }", "01 02 03"),
        ("{ trace:duration < 2s }", ""),
        ('{ rootServiceName = "azure-apim" && rootName = "orders-api" }', "01 02 03"),
        ('{ trace:rootService = "orders" }', ""),
        (f'{{ trace:id = "{"ab" * 16}" && span:id = "03" && span:parentID = "02" }}', "03"),
        ('{ .service.name = "orders" || .service.name = "payments" }', "02 03"),
        ("{ .cache.hit && (status = error || kind = client) }", "03"),
        ("{ status = error || .cache.hit && kind = client }", "02 03"),
        ('{ name = "POST /charge" } && { status = error }', "02 03"),
        ('{ name = "nothing" } && { status = error }', ""),
        ('{ name = "nothing" } || { status = error }', "02"),
        ('({ name = "nothing" } || { status = error }) && {}', "01 02 03"),
        ('{ name = "orders-api" } > { }', "02"),
        ('{ name = "orders-api" } >> { }', "02 03"),
        ("{ } >> { kind = client } > { }", ""),
        ("{ kind = client } < { }", "02"),
        ("{ kind = client } << { }", "01 02"),
        ("{ kind = client } << { status = unset }", "01"),
        ("{ } ~ { }", ""),
        ("{ status = error } !>> { }", "01 02"),
        ("{ false } !>> { }", "01 02 03"),
        ("{ status = error } !> { true }", "01 02"),
        ("{ kind = client } !< { }", "01 03"),
        ("{ kind = client } !<< { }", "03"),
        ("{ } !~ { }", "01 02 03"),
        ("{ kind = unspecified } &>> { kind = client }", "01 03"),
        ("{ kind = client } &< { }", "02 03"),
        ("{ kind = unspecified } &> { kind = client }", ""),
        ("{ kind = client } && { } > { status = error }", "02 03"),
        ("({ kind = client } || { status = error }) << { }", "01 02"),
        ("{ nestedSetParent < 0 }", "01"),
        ("{ nestedSetParent >= 1 && nestedSetLeft = 2 && nestedSetRight = 5 }", "02"),
        ('{ event:name = "exception" }', "03"),
        ('{ event.exception.type =~ "Time.*" && event.exception.retry > 1 }', "03"),
        ('{ event.exception.type != "Timeout" }', "03"),
        ("{ event.exception.type = nil }", "01 02"),
        ("{ name != nil && status != nil && !(kind = nil) }", "01 02 03"),
        ("{ } | { status = error }", "02"),
        ("{ } | count() > 2", "01 02 03"),
        ("{ } | count() > 3", ""),
        ("{ status = error } | count() = 1", "02"),
        ("{ } | avg(duration) > 700ms", "01 02 03"),
        ("{ } | max(duration) < 2s", ""),
        ("{ } | sum(span.http.status_code) >= 900 | { kind = client }", "03"),
        ("{ } | min(.nothing) < 5", ""),
        ("{ } | by(kind) | count() = 1 | coalesce()", "01 02 03"),
        ("{ } | by(.cache.hit) | count() > 1", "01 03"),
        ("{ status = error } | select(span.http.status_code, name)", "02"),
        ("{ status = error } with(most_recent=true)", "02"),
    ],
)
def test_a_query_finds_the_spans_that_fit(query: str, found: str) -> None:
    """Scopes, intrinsics, types, operators, spansets joined and related, pipelines."""
    spansets = find_spansets(Matcher(TRACE), parse_traceql(query))
    assert " ".join(span.span_id for each in spansets for span in each.spans) == found


@pytest.mark.parametrize(
    ("query", "part"),
    [
        ("{ status = error } | compare({ .a = 1 })", "| compare is not supported"),
        ("{ } | topk(3)", "| topk is not supported"),
        ("{ } | rate() | by(.a)", "| by is not supported behind | rate(…)"),
        ("{ } | rate() | topk(0.5)", "'0.5' at character 21 where a number of groups"),
        ("{ } | rate(duration)", "'duration' at character 12 where )"),
        ("{ } | rate() by()", "')' at character 17"),
        ("{ } | count()", "the end at character 14 where a comparison of count(…)"),
        ("{ } | count() > 2s", "| count() is no match for 2s"),
        ("{ } | avg(duration) > 2", "| avg(duration) is no match for 2"),
        ("{ } | avg() > 2", "| avg() names no attribute"),
        ("{ } | max(.a) =~ 2", "'=~' at character 15"),
        ("{ } | quantile_over_time(duration)", "| quantile_over_time names no quantile"),
        ("{ } | quantile_over_time(duration, 1.5)", "| quantile_over_time(…, 1.5)"),
        ("{ } | histogram_over_time(duration, 2)", "| histogram_over_time(…, 2)"),
        ("{ } | rate() with(sample=0.1)", "with(sample=0.1)"),
        ("{ } >>", "the end at character 7 where {"),
        ("{ nestedSetParent = `x` }", "it takes a number"),
        ("{ nestedSetParent =~ 1 }", "is matched with 1"),
        (" >> ".join(["{}"] * 300), "spansets, comparisons and names are not read"),
        ("{}" + " | {}" * 300, "spansets, comparisons and names are not read"),
        ("{ link.span = `x` }", "the scope link."),
        ("{ parent.name = `x` }", "the scope parent."),
        ("{ instrumentation.name = `x` }", "the scope instrumentation."),
        ("{ childCount > 2 }", "the intrinsic childCount"),
        ("{ .a + 1 = 2 }", "the arithmetic operator +"),
        ("{ .a = 2 * 3 }", "the arithmetic operator *"),
        ("{ .a = .b }", "compare with a literal"),
        ("{ .a = error }", "write texts in quotes"),
        ("{ .a > true }", ".a > true is not a comparison"),
        ("{ .a =~ 5 }", "is not a regular expression"),
        ("{ .a =~ `(` }", "is not a regular expression"),
        ("{ duration > 5 }", "it takes a duration"),
        ("{ status = `error` }", "it takes one of error, ok, unset"),
        ("{ status > ok }", "it takes one of"),
        ("{ kind = error }", "it takes one of unspecified"),
        ("{ name = 5 }", "it takes a text in quotes"),
        ("{ name }", "name is compared with nothing"),
        ("{ 5 }", "5 at character 5 is compared with nothing"),
        ("{ .a = }", "'}' at character 8"),
        ("{ .a = 1", "the end at character 9 where }"),
        ("{ .a = 1 } }", "'}' at character 12"),
        ("rate()", "rate is not supported outside of a spanset"),
        ("{ } with(span_sample=true)", "with(span_sample=true)"),
        ("{ .a = 1 && }", "'}' at character 13"),
        ("{ .a = 'x' }", "\"'x' }\" at character 7 is not read"),
        ("{" + "(" * 60 + ".a" + ")" * 60 + "}", "levels of parentheses"),
        ("(" * 60 + "{}" + ")" * 60, "levels of parentheses"),
        ("{" + "!" * 60 + ".a}", "levels of parentheses"),
        ("{" + " && ".join([".a"] * 300) + "}", "comparisons and names are not read"),
        (" && ".join(["{}"] * 300), "spansets, comparisons and names are not read"),
        ("{} | select(" + ", ".join([".a"] * 300) + ")", "comparisons and names are not read"),
        ("{" + " && ".join(['.a =~ "b+"'] * 30) + "}", "regular expressions are not read"),
        ("{ .a > " + "9" * 5_000 + " }", "has more than 30 digits"),
        ("{ duration > " + "9" * 5_000 + "ms }", "has more than 30 digits"),
        ("{" + " " * 20_000 + "}", "characters is not read"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(query: str, part: str) -> None:
    """The error says which part of the query it was."""
    with pytest.raises(BadQuestion) as caught:
        parse_traceql(query)
    assert caught.value.message.startswith("invalid TraceQL query: ")
    assert part in caught.value.message


def test_a_query_is_read_into_values() -> None:
    """`&&` binds closer than `||`, `!` closest; what is selected is kept in order."""
    query = parse_traceql("{ .a = 1 || !.b && span.c != `x` } | select(resource.d, status)")
    assert query.spansets == Spansets(
        (
            Both(
                (
                    Comparison(Attribute("", "a"), "=", 1),
                    Both(
                        (
                            Not(Comparison(Attribute("", "b"), "=", True)),
                            Comparison(Attribute("span", "c"), "!=", "x"),
                        )
                    ),
                ),
                is_any=True,
            ),
        )
    )
    assert query.selected == (Attribute("resource", "d"), Attribute("intrinsic", "status"))
    assert parse_traceql(" ").spansets == Spansets((Constant(True),))


_PIECES = st.sampled_from(
    ["{", "}", "(", ")", "{}", "{.a=1}", ".a", "span.b", "name", "=", "!=", "=~", "!", "&&", "||",
     "|", "select", '"x"', "`y`", "1", "-2.5", "10ms", "true", "nil", "error", ">>", "&<", "!~",
     "count()", "by", "rate()", "max_over_time", ",", "with", "é", '"', "\\"]
)  # fmt: skip


@given(st.one_of(st.text(max_size=40), st.lists(_PIECES, max_size=14).map(" ".join)))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text is an inner error, neither when it is read nor when spans are compared."""
    try:
        query = parse_traceql(text)
    except BadQuestion as error:
        assert error.message.startswith("invalid TraceQL query: ")
        return
    find_spansets(Matcher(TRACE), query)
