"""What copying does to an id is undone; what is no id is said so."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import BadQuestion
from collector.model import GatewayRecord, Id, Span
from collector.query.timelines.resolve import clean_id, ids_in, read_ids

TRACE = "6e0c1d2f3a4b5968778695a4b3c2d1e0"


@pytest.mark.parametrize(
    "text",
    [
        TRACE,
        f"  {TRACE}\t\n",
        f'"{TRACE}"',
        f"'{TRACE}',",
        f"<{TRACE}>",
        f"`{TRACE}`;",
        f"trace_id={TRACE}",
        f"TraceId: {TRACE}",
        f'"trace_id": "{TRACE}",',
        f"%22{TRACE}%22",
        f"%2522{TRACE}%2522",
    ],
)
def test_copied_ids_lose_what_is_around_them(text: str) -> None:
    """Quotes, white space, names of fields and URL escapes, even doubled, are no part of an id."""
    assert clean_id(text) == TRACE
    assert read_ids(text)[0].keys[0] == TRACE


def test_the_dot_of_a_hierarchical_id_stays() -> None:
    """`|root.span.` ends in a dot that belongs to it."""
    assert clean_id(f" |{TRACE}.1f2e3d4c5b6a7980. ") == f"|{TRACE}.1f2e3d4c5b6a7980."


@pytest.mark.parametrize(
    "text",
    ["", " ", "abc", "0" * 32, "00000000-0000-0000-0000-000000000000", "----", "\x1b[2J", "null"],
)
def test_what_can_not_be_an_id_is_a_bad_question(text: str) -> None:
    """Too short, empty, all zeros or unprintable: the hint shows what an id looks like."""
    with pytest.raises(BadQuestion, match="^id: ") as caught:
        read_ids(text)
    assert "32 or 16 hex digits" in caught.value.hint


@given(st.text(max_size=200) | st.binary(max_size=100).map(lambda b: b.decode("latin-1")))
def test_any_text_has_keys_or_is_a_bad_question(text: str) -> None:
    """No text makes reading an id fail in any other way."""
    try:
        asked = read_ids(text)
    except BadQuestion:
        return
    assert asked
    assert all(key for each in asked for key in each.keys)


@given(
    st.integers(1, 2**128 - 1),
    st.sampled_from(["{}", "{:032x}", "{:032X}", "00-{:032x}-1122334455667788-00"]),
)
def test_hexadecimal_ids_lead_to_their_trace(number: int, form: str) -> None:
    """Every 128-bit number written as a trace id is searched as its 32 digits."""
    if form == "{}":
        form = "{:032x}"
    assert f"{number:032x}" in read_ids(form.format(number))[0].keys


def _span(attributes: dict[str, str]) -> Span:
    return Span(
        trace_id=TRACE,
        span_id="1122334455667788",
        parent_span_id="",
        name="x",
        service="y",
        start_ns=1,
        end_ns=2,
        attributes=attributes,
    )


@pytest.mark.parametrize(
    "text",
    ['["a', '["a",' + "[" * 100_000, '["a",' + "9" * 5_000 + "]", '["a",{"b":1}]', '["\\ud800"]'],
    ids=["cut off", "deep", "long number", "object", "half a character"],
)
def test_a_list_that_is_none_breaks_nothing(text: str) -> None:
    """What a sender writes into a header's attribute is an id, a list of ids, or of no use."""
    keys = ids_in([], [_span({"x-request-id": text})])
    assert all(key.encode() for key in keys)


@pytest.mark.parametrize("written", ["{}", '["{}"]', '["x", "{}"]'])
@pytest.mark.parametrize("name", ["guid:x-request-id", "aws.request_id"])
def test_a_request_id_of_a_span_is_followed(name: str, written: str) -> None:
    """An id that a span carries leads from trace to record, alone or in a list of header values."""
    span = _span({name: written.format("d2b8b5b7cd0e4f4f9d5d0a3f3c2e1b0a")})
    half = "0" * 16 + span.trace_id[16:]
    assert ids_in([], [span]) - {"x"} == {"d2b8b5b7cd0e*f4f9d5d0a3f3c2e1b0a", half}


def test_records_and_spans_name_further_ids() -> None:
    """Ids of a record and the request id of a proxy are searched next; span ids are not."""
    record = GatewayRecord(
        gateway="kong",
        record_id="a1b2c3d4e5f60718293a4b5c6d7e8f90",
        start_ns=1,
        trace_id=TRACE,
        ids=(Id("correlation_id", "Order-77"), Id("span_id", "1122334455667788")),
    )
    span = _span({"guid:x-request-id": "0d0c0b0a-0908-9706-8504-030201000f0e"})
    keys = ids_in([record], [span])
    assert {TRACE, "order-77", "0d0c0b0a0908*7068504030201000f0e"} <= keys
    assert "a1b2c3d4e5f60718293a4b5c6d7e8f90" in keys
    assert "1122334455667788" not in keys
    assert "" not in keys


def test_a_record_of_64_bits_is_searched_under_longer_ids() -> None:
    """Datadog's header holds the low half of a trace id: the index knows whole ids by it."""
    low = "9f8e7d6c5b4a3921"
    short = GatewayRecord(gateway="kong", record_id="r-1", start_ns=1, trace_id="0" * 16 + low)
    assert low in ids_in([short], [])
    whole = GatewayRecord(gateway="kong", record_id="r-2", start_ns=1, trace_id=TRACE)
    assert TRACE[16:] not in ids_in([whole], [])
