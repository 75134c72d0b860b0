"""Every carrier of a trace id or request id, as documented and as garbage."""

import base64
import uuid

import pytest

from collector.identity import ids

TRACE = "5b8aa5a2d2c872e8321cf37308d69df2"
SPAN = "5fb397be34d26b51"
UUID = "1f0c3a44-9b7e-4c1d-8a55-0e6d2f7b9c31"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (TRACE, TRACE),
        (TRACE.upper(), TRACE),
        (f" {TRACE}\n", TRACE),
        (f'"{TRACE}"', TRACE),
        ("321cf37308d69df2", "0" * 16 + "321cf37308d69df2"),
        ("b8aa5a2d2c872e8321cf37308d69df2", "0b8aa5a2d2c872e8321cf37308d69df2"),
        ("5b8aa5a2-d2c8-72e8-321c-f37308d69df2", TRACE),
        ("1-5b8aa5a2-d2c872e8321cf37308d69df2", TRACE),
        ("Root=1-5b8aa5a2-d2c872e8321cf37308d69df2", TRACE),
        ("W4qlotLIcugyHPNzCNad8g==", TRACE),
        ("0" * 32, ""),
        ("0", ""),
        ("", ""),
        ("-", ""),
        (TRACE + "0", ""),
        ("0" + TRACE, ""),
        ("xyz", ""),
        ("AAAAAAAAAAAAAAAAAAAAAA==", ""),
        ("x" * 5000, ""),
    ],
)
def test_trace_id_in_any_spelling(text: str, expected: str) -> None:
    """A trace id has one canonical form, and what is not one gives nothing."""
    assert ids.normalise_trace_id(text) == expected


def test_span_ids_are_padded_and_zero_is_none() -> None:
    """A short span id is padded, a zero, long or non-hex one is no id."""
    assert ids.normalise_span_id("ABC") == "0000000000000abc"
    assert ids.normalise_span_id("0" * 16) == ""
    assert ids.normalise_span_id("1" * 17) == ""
    assert ids.normalise_span_id("span") == ""


def test_64_bit_ids_are_recognised_by_their_padding() -> None:
    """A canonical id whose upper half is zero came from a 64-bit system."""
    padded = ids.normalise_trace_id("321cf37308d69df2")
    assert ids.is_64bit(padded)
    assert not ids.is_64bit(TRACE)
    assert ids.low_64(padded) == ids.low_64(TRACE) == "321cf37308d69df2"
    assert ids.low_64("") == ""


def test_envoys_nibble_is_masked() -> None:
    """The version digit that Envoy rewrites does not tell two request ids apart."""
    traced = UUID[:14] + "9" + UUID[15:]
    assert traced != UUID
    assert (
        ids.request_id_key(UUID) == ids.request_id_key(traced) == "1f0c3a449b7e*c1d8a550e6d2f7b9c31"
    )


def test_uuid_with_and_without_dashes_have_one_key() -> None:
    """`context.RequestId` formatted with or without dashes is one id."""
    assert ids.request_id_key(UUID.replace("-", "")) == ids.request_id_key("{" + UUID.upper() + "}")


@pytest.mark.parametrize(
    "text", ["", "-", "None", "null", " ", "00000000-0000-0000-0000-000000000000"]
)
def test_placeholders_are_no_request_id(text: str) -> None:
    """What loggers write for "nothing" never becomes a join key."""
    assert ids.request_id_key(text) == ""


def test_other_request_ids_keep_their_text() -> None:
    """A request id that is no UUID is compared as text, case aside."""
    assert ids.request_id_key("Ab3/XyZ=") == "ab3/xyz="


def test_traceparent() -> None:
    """A traceparent gives trace, parent and sampling flag."""
    context = ids.parse_traceparent(f"00-{TRACE}-{SPAN}-01")
    assert context == ids.TraceContext(TRACE, SPAN, True, "traceparent")
    unsampled = ids.parse_traceparent(f"00-{TRACE}-{SPAN}-00")
    assert unsampled is not None
    assert unsampled.is_sampled is False


def test_traceparent_of_a_later_version_may_be_longer() -> None:
    """Version 00 ends after the flags; a later one may go on."""
    assert ids.parse_traceparent(f"00-{TRACE}-{SPAN}-01-more") is None
    later = ids.parse_traceparent(f"01-{TRACE}-{SPAN}-01-more")
    assert later is not None
    assert later.trace_id == TRACE


def test_traceparent_with_zero_parent_keeps_the_trace_id() -> None:
    """The zero-parent recipe is invalid for receivers, but its trace id is still a fact."""
    context = ids.parse_traceparent(f"00-{TRACE}-{'0' * 16}-01")
    assert context is not None
    assert (context.trace_id, context.span_id, context.is_parent_invalid) == (TRACE, "", True)


@pytest.mark.parametrize(
    "text",
    [
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"zz-{TRACE}-{SPAN}-01",
        "",
    ],
)
def test_invalid_traceparents_are_refused(text: str) -> None:
    """Version ff, a zero trace id and wrong lengths are no context."""
    assert ids.parse_traceparent(text) is None


def test_b3_single_in_all_lengths() -> None:
    """A b3 header has 64- or 128-bit trace ids, and optional sampling and parent."""
    assert ids.parse_b3(f"{TRACE}-{SPAN}") == ids.TraceContext(TRACE, SPAN, None, "b3")
    short = ids.parse_b3(f"321cf37308d69df2-{SPAN}-d-05e3ac9a4f6e3b90")
    assert short is not None
    assert short.trace_id == "0" * 16 + "321cf37308d69df2"
    assert short.is_64bit
    assert short.is_sampled is True
    for lone in ("0", "1", "d", "", f"{TRACE}-{SPAN}-1-2-3"):
        assert ids.parse_b3(lone) is None


def test_b3_multi() -> None:
    """X-B3 headers are read in any case, and debug means sampled."""
    headers = {"X-B3-TraceId": TRACE, "X-B3-SpanId": SPAN, "X-B3-Sampled": "0"}
    context = ids.trace_context_from_headers(headers)
    assert context == ids.TraceContext(TRACE, SPAN, False, "x-b3")
    debug = ids.trace_context_from_headers({**headers, "x-b3-flags": "1"})
    assert debug is not None
    assert debug.is_sampled is True
    assert ids.parse_b3_multi({"x-b3-traceid": "abc"}) is None


def test_uber_trace_id_with_lost_zeros_and_url_encoding() -> None:
    """Jaeger's header may have dropped leading zeros and may be URL-encoded."""
    context = ids.parse_uber(f"{TRACE[1:]}%3A{SPAN}%3A0%3A3")
    assert context is not None
    assert context.trace_id == "0" + TRACE[1:]
    assert context.is_sampled is True
    assert ids.parse_uber("a:b:c") is None
    assert ids.parse_uber("a:b:c:z") is None


def test_xray_header() -> None:
    """X-Ray's Root loses version and dashes; Self and Lineage are ignored."""
    root = f"Root=1-{TRACE[:8]}-{TRACE[8:]}"
    context = ids.parse_xray(f"Self=1-11111111-{'2' * 24};{root};Parent={SPAN};Sampled=0")
    assert context == ids.TraceContext(TRACE, SPAN, False, "x-amzn-trace-id")
    assert ids.parse_xray(f"Root={TRACE}") is None


def test_xray_root_alone_is_not_a_broken_parent() -> None:
    """A load balancer sends Root without Parent: that is its normal form."""
    context = ids.parse_xray(f"Root=1-{TRACE[:8]}-{TRACE[8:]}")
    assert context is not None
    assert not context.is_parent_invalid


def test_request_id_as_application_insights_writes_it() -> None:
    """`|trace.span.` is a W3C context in hierarchical clothes."""
    context = ids.parse_request_id(f"|{TRACE}.{SPAN}.")
    assert context == ids.TraceContext(TRACE, SPAN, None, "request-id")


def test_request_id_with_a_guid_root_is_legacy() -> None:
    """A GUID root can be a trace id, but nobody called it one."""
    context = ids.parse_request_id(f"|{UUID}.1_2.")
    assert context is not None
    assert context.trace_id == UUID.replace("-", "")
    assert context.is_legacy
    assert context.span_id == ""


def test_request_id_with_a_free_root_is_no_trace_id() -> None:
    """The root's alphabet is Base64, so most roots are text."""
    assert ids.parse_request_id("|aGVsbG8+d29ybGQ.1.") is None
    assert ids.request_id_root("|aGVsbG8-.1.") == "agvsbg8-"
    assert ids.request_id_root("flat") == ""
    assert ids.parse_request_id(TRACE) is None


def test_cloud_trace_context() -> None:
    """Google's header has a decimal span id and a trace flag."""
    context = ids.parse_cloud_trace(f"{TRACE}/6896115372428094289;o=1")
    assert context is not None
    assert context.span_id == f"{6896115372428094289:016x}"
    assert context.is_sampled is True
    assert ids.parse_cloud_trace("short/1") is None


def test_datadog_ids_are_decimal_halves() -> None:
    """Datadog's decimal id is the lower half; `_dd.p.tid` is the upper one."""
    low = int(TRACE[16:], 16)
    headers = {
        "x-datadog-trace-id": str(low),
        "x-datadog-parent-id": "77",
        "x-datadog-sampling-priority": "1",
    }
    context = ids.trace_context_from_headers(headers)
    assert context is not None
    assert (context.trace_id, context.is_64bit) == ("0" * 16 + TRACE[16:], True)
    assert context.span_id == f"{77:016x}"
    whole = ids.parse_datadog({**headers, "x-datadog-tags": f"_dd.p.dm=-1,_dd.p.tid={TRACE[:16]}"})
    assert whole is not None
    assert whole.trace_id == TRACE
    assert ids.hex_from_decimal(str(1 << 64)) == ""
    assert ids.hex_from_decimal("0") == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [("traceparent", f"00-{TRACE}-{SPAN}-01"), ("b3", f"{TRACE}-{SPAN}-1")],
)
def test_a_header_sent_twice_counts_once(name: str, value: str) -> None:
    """Proxies that add a header which is there already; two values are nobody's."""
    twice = ids.trace_context_from_headers({name: f"{value}, {value}"})
    assert twice is not None
    assert (twice.trace_id, twice.span_id) == (TRACE, SPAN)
    other = value.replace(TRACE, TRACE[::-1])
    assert ids.trace_context_from_headers({name: f"{value},{other}"}) is None


def test_grpc_trace_bin() -> None:
    """OpenCensus' binary form is read raw and in base64."""
    import base64

    raw = bytes([0, 0]) + bytes.fromhex(TRACE) + bytes([1]) + bytes.fromhex(SPAN) + bytes([2, 1])
    expected = ids.TraceContext(TRACE, SPAN, True, "grpc-trace-bin")
    assert ids.parse_grpc_trace_bin(raw) == expected
    assert ids.parse_grpc_trace_bin(base64.b64encode(raw).decode().rstrip("=")) == expected
    assert ids.parse_grpc_trace_bin(b"\x01" + raw[1:]) is None
    assert ids.parse_grpc_trace_bin("not base64!") is None


def test_w3c_wins_over_b3_and_b3_single_over_multi() -> None:
    """With several carriers in one message the documented order decides."""
    other = "a" * 32
    third = "b" * 32
    headers = {
        "Traceparent": f"00-{TRACE}-{SPAN}-01",
        "B3": f"{other}-{SPAN}-1",
        "X-B3-TraceId": third,
        "X-B3-SpanId": SPAN,
    }
    w3c = ids.trace_context_from_headers(headers)
    assert w3c is not None
    assert w3c.trace_id == TRACE
    del headers["Traceparent"]
    b3 = ids.trace_context_from_headers(headers)
    assert b3 is not None
    assert b3.trace_id == other
    assert ids.trace_context_from_headers({"accept": "*/*"}) is None


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (TRACE, TRACE),
        (f"traceparent: 00-{TRACE}-{SPAN}-01", TRACE),
        (f"00-{TRACE}-{SPAN}-01", TRACE),
        (f"{TRACE}-{SPAN}-1", TRACE),
        (f"{TRACE}:{SPAN}:0:1", TRACE),
        (f"Root=1-{TRACE[:8]}-{TRACE[8:]}", TRACE),
        (f"1-{TRACE[:8]}-{TRACE[8:]}", TRACE),
        (f"|{TRACE}.{SPAN}.", TRACE),
        ("W4qlotLIcugyHPNzCNad8g==", TRACE),
        ("b8aa5a2d2c872e8321cf37308d69df2", "0b8aa5a2d2c872e8321cf37308d69df2"),
        ("3611032270226234866", "0" * 16 + f"{3611032270226234866:016x}"),
        (UUID, "1f0c3a449b7e*c1d8a550e6d2f7b9c31"),
        (UUID, UUID.replace("-", "")),
        ("Kx9_aZ==", "kx9_az=="),
        (base64.b64encode(uuid.UUID(UUID).bytes).decode(), "1f0c3a449b7e*c1d8a550e6d2f7b9c31"),
        (
            base64.urlsafe_b64encode(uuid.UUID(UUID).bytes).decode().rstrip("="),
            "1f0c3a449b7e*c1d8a550e6d2f7b9c31",
        ),
        (f"|{UUID}.1.", "1f0c3a449b7e*c1d8a550e6d2f7b9c31"),
    ],
)
def test_any_id_a_person_has_leads_to_its_key(text: str, key: str) -> None:
    """Whatever form of an id is pasted, the key of the index is among the candidates."""
    assert key in [candidate.key for candidate in ids.trace_id_candidates(text)]


def test_candidates_are_unique_and_likeliest_first() -> None:
    """A trace id is looked up as a trace id before anything else, and no key twice."""
    found = ids.trace_id_candidates(TRACE)
    assert found[0] == ids.Candidate(TRACE, "trace-id")
    assert len({candidate.key for candidate in found}) == len(found)
    assert ids.trace_id_candidates("-") == ()
    assert ids.trace_id_candidates("0" * 32)[0].rule == "text"


def test_an_extended_id_is_known_without_its_padding() -> None:
    """A double click on `Q2VkYXJXb29kNQc=` does not select its last character."""
    keys = [each.key for each in ids.trace_id_candidates("Q2VkYXJXb29kNQc")]
    assert "q2vkyxjxb29knqc=" in keys
