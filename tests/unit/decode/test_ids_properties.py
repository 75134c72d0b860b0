"""Round trips and robustness of id normalisation, for any input."""

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collector.identity import ids

trace_ids = st.integers(min_value=1, max_value=(1 << 128) - 1).map(lambda n: f"{n:032x}")
span_ids = st.integers(min_value=1, max_value=(1 << 64) - 1).map(lambda n: f"{n:016x}")
# Text that looks almost right finds more than text that looks like nothing.
near_misses = st.one_of(
    st.text(max_size=80),
    st.text(alphabet='0123456789abcdefABCDEF-:;|._=/ {}"Rot%', max_size=120),
    st.builds(lambda a, b, c: f"{a}-{b}-{c}", st.text(max_size=4), trace_ids, st.text(max_size=20)),
)


def _xray(trace_id: str) -> str:
    return f"1-{trace_id[:8]}-{trace_id[8:]}"


@given(trace_ids, span_ids, st.booleans())
def test_traceparent_round_trip(trace_id: str, span_id: str, sampled: bool) -> None:
    """Every valid context survives being written as a traceparent."""
    context = ids.parse_traceparent(f"00-{trace_id}-{span_id}-0{int(sampled)}")
    assert context is not None
    assert (context.trace_id, context.span_id, context.is_sampled) == (trace_id, span_id, sampled)


@given(trace_ids, span_ids)
def test_every_carrier_agrees(trace_id: str, span_id: str) -> None:
    """The same context in each carrier gives the same two ids."""
    carried = [
        {"traceparent": f"00-{trace_id}-{span_id}-01"},
        {"b3": f"{trace_id}-{span_id}-1"},
        {"X-B3-TraceId": trace_id, "X-B3-SpanId": span_id},
        {"uber-trace-id": f"{trace_id.lstrip('0')}:{span_id.lstrip('0')}:0:1"},
        {"X-Amzn-Trace-Id": f"Root={_xray(trace_id)};Parent={span_id};Sampled=1"},
        {"X-Cloud-Trace-Context": f"{trace_id}/{int(span_id, 16)};o=1"},
        {"Request-Id": f"|{trace_id}.{span_id}."},
    ]
    for headers in carried:
        context = ids.trace_context_from_headers(headers)
        assert context is not None, headers
        assert (context.trace_id, context.span_id) == (trace_id, span_id), headers


@given(trace_ids)
def test_normalising_is_idempotent_and_blind_to_case_and_lost_zeros(trace_id: str) -> None:
    """Upper case, lost leading zeros and X-Ray's dashes all lead back to the same id."""
    assert ids.normalise_trace_id(trace_id) == trace_id
    assert ids.normalise_trace_id(trace_id.upper().lstrip("0")) == trace_id
    assert ids.normalise_trace_id(_xray(trace_id)) == trace_id


@given(st.uuids(), st.sampled_from("0123456789abcdef"))
def test_any_version_digit_gives_the_same_key(uuid: object, nibble: str) -> None:
    """Whatever digit Envoy writes into a UUID, its key stays."""
    text = str(uuid)
    rewritten = text[:14] + nibble + text[15:]
    keys = {ids.request_id_key(text), ids.request_id_key(rewritten)}
    assert len(keys - {""}) <= 1
    assert ids.request_id_key(text).count("*") == 1 or not text.strip("0-")


@given(near_misses)
@example('" 0"')
@example("{ 0}")
@example('{"0"}')
def test_keys_are_stable(text: str) -> None:
    """The key of a key is the key: normalising twice changes nothing."""
    key = ids.request_id_key(text)
    assert ids.request_id_key(key) in (key, "")
    trace_id = ids.normalise_trace_id(text)
    assert trace_id == "" or (len(trace_id) == 32 and ids.normalise_trace_id(trace_id) == trace_id)


@pytest.mark.parametrize(
    "parse",
    [
        ids.normalise_trace_id,
        ids.normalise_span_id,
        ids.request_id_key,
        ids.parse_traceparent,
        ids.parse_b3,
        ids.parse_uber,
        ids.parse_xray,
        ids.parse_request_id,
        ids.request_id_root,
        ids.parse_cloud_trace,
        ids.parse_grpc_trace_bin,
        ids.hex_from_decimal,
        ids.trace_id_candidates,
    ],
)
def test_garbage_never_raises(parse: Callable[[str], object]) -> None:
    """No text makes a parser raise, and what it returns is an id or nothing."""

    @given(near_misses)
    def check(text: str) -> None:
        result = parse(text)
        if isinstance(result, ids.TraceContext):
            assert len(result.trace_id) == 32
            assert len(result.span_id) in (0, 16)

    check()


@given(
    st.dictionaries(
        st.sampled_from(
            [
                *ids.REQUEST_ID_HEADERS,
                "b3",
                "traceparent",
                "x-b3-traceid",
                "x-datadog-trace-id",
                "x-datadog-tags",
                "grpc-trace-bin",
            ]
        ),
        near_misses,
    )
)
def test_garbage_headers_never_raise(headers: dict[str, str]) -> None:
    """No header value makes the whole message unreadable."""
    context = ids.trace_context_from_headers(headers)
    assert context is None or len(context.trace_id) == 32
