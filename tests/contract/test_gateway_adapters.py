"""
One battery over every gateway adapter and every body of its fixture.

An adapter is found by `find_adapters`; what it must become is in `tests/fixtures/gateways/`, in the
shape that `tests/gateway_fixtures.py` describes. Opt-outs are named here, with their reason.
"""

import copy
import json
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from collector.decode import gateways
from collector.decode.bodies import split_body
from collector.decode.gateways import Adapter, find_adapters, get_adapter
from collector.decode.quality import (
    BACKEND_GT_TOTAL,
    LEFT_OUT_OF_PERCENTILES,
    MEANINGS,
    SECOND_GRANULARITY,
    Profile,
)
from collector.decode.records.codec import decode_records, encode_records
from collector.decode.redaction.redactor import Redactor
from collector.errors import Undecodable, UnknownDoor
from collector.model import Decoded, GatewayRecord, Stream
from tests.gateway_fixtures import Case, all_cases, body_of, differences, fixture_path, shown

# One reader reads all that is mapped: of these, one stands for the others.
NAMES = [name for name, each in find_adapters().items() if not each.is_mapped or name == "traefik"]
ALL_NAMES = list(find_adapters())
CASES = list(all_cases())
FOLDER = Path(gateways.__path__[0])
REQUIRED_NAMES = ("plain", "batched", "truncated", "unknown fields", "wrong types")
NO_TRACE_CONTEXT = {
    "azure-application-gateway": "no column of its log can hold one",
    "azure-agc": "no column of its log can hold one",
    "azure-front-door": "no column of its log can hold one",
    "krakend": "neither format can hold one",
    "mulesoft": "no field of its events can hold one",
}
TEXT_ONLY = {"spring-cloud-gateway": "reactor-netty writes lines, JSON is only around them"}
NO_BACKEND_TIME = {
    "azure-front-door": "its access log has no time of the origin",
    "spring-cloud-gateway": "its access log has no backend time",
    "azure-app-insights": "request and dependency are rows of their own that may come apart",
}
LOOKS_THE_SAME = {
    ("azure-apim", "gravitee"): "an object that a policy writes has any names",
    ("azure-apim", "mulesoft"): "an object that a policy writes has any names",
    ("ingress-nginx", "tyk"): "a refused request has the names of a plain nginx",
    ("envoy", "tyk"): "a failed request has a response_flag in both",
}
KINDS = {"http", "grpc", "graphql", "websocket", "llm"}
ODD_VALUES: tuple[object, ...] = (
    None,
    "",
    "-",
    "None",
    "null",
    True,
    -1,
    0,
    1.5,
    2**63,
    -(2**70),
    1e308,
    "1e999",
    "9" * 5000,
    "٣",
    "\u0000\u001b[31m",
    "x" * 70_000,
    [],
    [None],
    [[1]],
    {},
    {"a": {"b": []}},
)


def _case_id(case: Case) -> str:
    return f"{case.adapter.name}-{case.name}"


def _case(name: str, form: str) -> Case:
    return next(case for case in CASES if case.adapter.name == name and case.name.startswith(form))


def _plain(name: str) -> Any:
    return copy.deepcopy(_case(name, "plain").expected["body"])


def _json_names() -> list[str]:
    return [name for name in NAMES if name not in TEXT_ONLY]


def _decode(adapter: Adapter, value: object) -> Decoded:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return adapter.decode(body)


def _record_of(name: str, value: object) -> dict[str, Any]:
    decoded = _decode(get_adapter(name), value)
    assert not decoded.rejected, decoded.rejected
    (record,) = decoded.records
    return shown(record)


def _paths(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every member of an object, at any depth."""
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, member in items:
        yield (*before, key)
        yield from _paths(member, (*before, key))


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def _without_raw_ids(record: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out an id that is derived from the text, which differs."""
    kept = dict(record)
    if str(kept.get("record_id", "")).startswith("~"):
        del kept["record_id"]
    return kept


@pytest.mark.parametrize("name", ALL_NAMES)
def test_every_adapter_has_a_fixture_with_the_required_cases(name: str) -> None:
    """An adapter without its fixture, or with a case left out unexplained, is not finished."""
    cases = [case for case in CASES if case.adapter.name == name]
    names = [case.name.replace("-", " ") for case in cases]
    for required in REQUIRED_NAMES:
        assert any(each.startswith(required) for each in names), (required, fixture_path(name))
    records = [record for case in cases for record in case.expected["records"]]
    assert any("trace_id" in each for each in records) or name in NO_TRACE_CONTEXT
    assert any("trace_id" not in each for each in records)
    assert any(each.get("is_error") for each in records)
    answered = [each for each in records if each.get("status", 0) >= 400]
    assert any("backend_ns" not in each for each in answered)


@pytest.mark.parametrize("name", ALL_NAMES)
def test_every_adapter_states_its_source_and_what_its_times_mean(name: str) -> None:
    """The file says where the format is written down, and what the times hold."""
    if get_adapter(name).is_mapped:
        text = next(iter(FOLDER.glob(f"{name}.toml"))).read_text()
        assert "# Times: " in text
        assert get_adapter(name).source.startswith("https://")
        return
    module = sys.modules[f"collector.decode.gateways.{name.replace('-', '_')}"]
    assert "Source: " in (module.__doc__ or "")
    assert "Times: " in (module.__doc__ or "")
    assert isinstance(module.PROFILE, Profile)


@pytest.mark.parametrize("case", CASES, ids=_case_id)
def test_a_body_becomes_exactly_the_records_of_its_fixture(case: Case) -> None:
    """Every field of every record is as the fixture says, and so is what is refused."""
    if case.expected.get("is_undecodable"):
        with pytest.raises(Undecodable):
            case.adapter.decode(case.body)
        return
    decoded = case.adapter.decode(case.body)
    actual = json.loads(json.dumps([shown(record) for record in decoded.records]))
    assert not differences(actual, case.expected["records"])
    assert len(decoded.rejected) == case.expected["rejected"]
    errors = [{"index": each.index, "field": each.field} for each in decoded.rejected]
    assert errors == case.expected.get("errors", errors)
    assert all(each.reason for each in decoded.rejected)
    ignored = [{"index": each.index, "code": each.code} for each in decoded.ignored]
    assert ignored == case.expected.get("ignored", [])


@pytest.mark.parametrize("case", CASES, ids=_case_id)
def test_records_keep_the_domain_s_rules(case: Case) -> None:
    """Ids are canonical, times plausible, the original is JSON, and the journal holds it all."""
    if case.expected.get("is_undecodable"):
        return
    for record in case.adapter.decode(case.body).records:
        _assert_rules(record)
        (read_back,) = decode_records(encode_records([record]))
        assert read_back == record


def _assert_rules(record: GatewayRecord) -> None:
    assert record.gateway in ALL_NAMES
    assert record.record_id
    assert record.start_ns == 0 or 10**18 < record.start_ns < 2 * 10**18
    assert record.kind in KINDS
    json.loads(record.raw)
    for text, length in (
        (record.trace_id, 32),
        (record.parent_span_id, 16),
        (record.outgoing_span_id, 16),
    ):
        assert text == "" or (len(text) == length and int(text, 16) and text == text.lower())
    assert bool(record.trace_id) == bool(record.trace_id_source)
    assert set(record.quality) <= set(MEANINGS)
    assert len(set(record.quality)) == len(record.quality)
    assert all(value and isinstance(value, str) for value in record.attributes.values())
    assert "?" not in record.path
    parts = (record.duration_ns, record.client_ns, record.gateway_ns, record.backend_ns)
    assert all(part is None or part >= 0 for part in parts)


@pytest.mark.parametrize("name", NAMES)
def test_a_backend_longer_than_the_whole_is_flagged_and_left_out(name: str) -> None:
    """A lying value is kept, flagged, and is no measurement."""
    if name in NO_BACKEND_TIME:
        return
    cases = [case for case in CASES if case.adapter.name == name]
    flagged = [
        record
        for case in cases
        if not case.expected.get("is_undecodable")
        for record in case.adapter.decode(case.body).records
        if BACKEND_GT_TOTAL in record.quality
    ]
    assert flagged
    for record in flagged:
        assert record.backend_ns is not None
        assert record.duration_ns is not None
        assert record.backend_ns > record.duration_ns
        assert not LEFT_OUT_OF_PERCENTILES.isdisjoint(record.quality)


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_body_is_undecodable_and_an_empty_batch_is_empty(name: str) -> None:
    """Nothing at all is a broken request; a batch of nothing is a batch."""
    adapter = get_adapter(name)
    for body in (b"", b" \r\n\t", b"\xef\xbb\xbf"):
        with pytest.raises(Undecodable):
            adapter.decode(body)
    decoded = adapter.decode(b"[]")
    assert (list(decoded.records), list(decoded.rejected)) == ([], [])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "body",
    [b"null", b"true", b"7", b'"text"', b"\x00\x01\x02", b"\xff\xfe{\x00}\x00", b"{" * 100_000],
    ids=lambda body: repr(body[:12]),
)
def test_other_values_are_refused_with_a_reason(name: str, body: bytes) -> None:
    """What is neither a record nor a batch of records is never taken for one."""
    try:
        decoded = get_adapter(name).decode(body)
    except Undecodable as exc:
        assert exc.message
        return
    assert not decoded.records
    assert decoded.rejected


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", ["plain", "batched"])
def test_no_cut_of_a_body_makes_a_different_record(name: str, form: str) -> None:
    """Cut anywhere, a body gives records it really holds or none."""
    case = _case(name, form)
    whole = {
        json.dumps(_without_raw_ids(shown(record))): record
        for record in case.adapter.decode(case.body).records
    }
    is_text = name in TEXT_ONLY
    for length in range(0, len(case.body), max(1, len(case.body) // 60)):
        try:
            decoded = case.adapter.decode(case.body[:length])
        except Undecodable:
            continue
        for record in decoded.records:
            # a text line has no end mark: cut within its last number it is another valid line
            assert is_text or json.dumps(_without_raw_ids(shown(record))) in whole


@pytest.mark.parametrize("name", _json_names())
def test_numbers_may_be_written_as_text(name: str) -> None:
    """Every number of a record reads the same inside quotation marks."""
    plain = _plain(name)
    quoted = copy.deepcopy(plain)
    for path in list(_paths(plain)):
        value = _at(plain, path)
        if isinstance(value, int | float) and not isinstance(value, bool):
            _at(quoted, path[:-1])[path[-1]] = str(value)
    assert _without_raw_ids(_record_of(name, quoted)) == _without_raw_ids(_record_of(name, plain))


@pytest.mark.parametrize("name", _json_names())
def test_header_maps_may_be_written_as_text(name: str) -> None:
    """A header map reads the same as an object and as JSON text of it."""
    plain = _plain(name)
    texts = copy.deepcopy(plain)
    for path in [path for path in _paths(plain) if "header" in str(path[-1]).lower()]:
        value = _at(plain, path)
        if isinstance(value, dict):
            _at(texts, path[:-1])[path[-1]] = json.dumps(value)
    assert _without_raw_ids(_record_of(name, texts)) == _without_raw_ids(_record_of(name, plain))


@pytest.mark.parametrize("name", _json_names())
def test_unknown_fields_change_nothing(name: str) -> None:
    """A field of a later version of the product is kept in the original and else passed over."""
    plain = _plain(name)
    more = {**plain, "aFieldOfTomorrow": {"deep": [1, {"x": None}]}}
    assert _without_raw_ids(_record_of(name, more)) == _without_raw_ids(_record_of(name, plain))


@pytest.mark.parametrize("name", _json_names())
def test_odd_values_in_any_field_cost_that_record_at_most(name: str) -> None:
    """Whatever stands in a field, its record is read or rejected, and its neighbour is kept."""
    adapter = get_adapter(name)
    plain = _plain(name)
    expected = shown(_decode(adapter, plain).records[0])
    for path in _paths(plain):
        for odd in ODD_VALUES:
            broken = copy.deepcopy(plain)
            _at(broken, path[:-1])[path[-1]] = odd
            decoded = _decode(adapter, [broken, plain])
            assert len(decoded.rejected) <= 1, (path, odd)
            for error in decoded.rejected:
                assert error.index == 0
                assert error.reason
            assert shown(decoded.records[-1]) == expected, (path, odd)
            encode_records(decoded.records)


@pytest.mark.parametrize("name", _json_names())
def test_any_field_may_be_missing(name: str) -> None:
    """A missing field costs at most its record; then the reason says what is missing."""
    adapter = get_adapter(name)
    plain = _plain(name)
    for path in _paths(plain):
        less = copy.deepcopy(plain)
        parent = _at(less, path[:-1])
        if not isinstance(parent, dict):
            continue
        del parent[path[-1]]
        decoded = _decode(adapter, [less])
        assert len(decoded.records) + len(decoded.rejected) <= 1
        for error in decoded.rejected:
            assert error.field or "expected" in error.reason, (path, error)


@pytest.mark.parametrize("name", _json_names())
def test_one_bad_record_of_ten_thousand_is_named_by_its_index(name: str) -> None:
    """9,999 good records are taken, the one that is no object is listed at its place."""
    adapter = get_adapter(name)
    good = json.dumps(_plain(name))
    body = "[" + ",".join([good] * 6_000 + ["17"] + [good] * 3_999) + "]"
    decoded = adapter.decode(body.encode())
    assert len(decoded.records) == 9_999
    assert [error.index for error in decoded.rejected] == [6_000]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "body", [b"{}\n" * 2**20, b"[{}" + b",{}" * 2**20 + b"]"], ids=["lines", "array"]
)
def test_a_million_empty_entries_are_refused_in_time(name: str, body: bytes) -> None:
    """A small body of very many entries does not keep a core busy for long."""
    started = time.thread_time()
    with pytest.raises(Undecodable, match="entries"):
        get_adapter(name).decode(body)
    assert time.thread_time() - started < 3


@pytest.mark.parametrize("name", NAMES)
def test_a_body_made_to_fill_the_memory_is_refused_unread(name: str) -> None:
    """Twenty million empty objects are 60 MB of JSON and 2 GB once they are parsed."""
    body = b"[{}" + b",{}" * (20 * 2**20) + b"]"
    started = time.thread_time()
    with pytest.raises(Undecodable, match="entries"):
        get_adapter(name).decode(body)
    assert time.thread_time() - started < 1


@pytest.mark.parametrize("name", NAMES)
def test_a_repeated_record_keeps_one_identity(name: str) -> None:
    """The same record twice has the same gateway and record id, so that it counts once."""
    case = _case(name, "plain")
    line = json.dumps(json.loads(case.body)) if name not in TEXT_ONLY else case.body.decode()
    records = case.adapter.decode(f"{line}\n{line}\n".encode()).records
    assert len({(record.gateway, record.record_id) for record in records}) == 1


@pytest.mark.parametrize("name", _json_names())
def test_bytes_that_are_not_utf_8_are_repaired_and_counted(name: str) -> None:
    """One Latin-1 byte in a header costs neither its record nor the others, and is counted."""
    plain = _plain(name)
    spoiled = json.dumps({**plain, "note": "caf#"}).encode().replace(b"caf#", b"caf\xe9")
    body = b"[" + spoiled + b"," + json.dumps(plain).encode() + b"]"
    decoded = get_adapter(name).decode(body)
    assert len(decoded.records) == 2
    assert not decoded.rejected
    assert decoded.repaired == 1


def _others(name: str) -> Iterator[str]:
    """Yield the adapters whose logs *name* must not take for its own."""
    for other in ALL_NAMES:
        pairs = {(name, other), (other, name)}
        if name != other and ("azure-apim", "azure-app-insights") not in pairs:
            yield other


@pytest.mark.parametrize("name", ALL_NAMES)
def test_a_body_of_another_gateway_is_never_taken(name: str) -> None:
    """No adapter makes a record of another product's log."""
    adapter, others = get_adapter(name), set(_others(name))
    for case in CASES:
        other = case.adapter.name
        if other not in others or not case.name.startswith(("plain", "batched", "default")):
            continue
        try:
            decoded = adapter.decode(case.body)
        except Undecodable as exc:
            assert exc.message
            continue
        assert not decoded.records or (name, other) in LOOKS_THE_SAME, (other, case.name)
        assert all(error.reason for error in decoded.rejected)


@pytest.mark.parametrize("name", ALL_NAMES)
def test_a_refusal_names_the_adapter_that_would_have_taken_it(name: str) -> None:
    """Who sends to the wrong path is told the right one."""
    for other in _others(name):
        if (name, other) in LOOKS_THE_SAME:
            continue
        try:
            decoded = get_adapter(name).decode(_case(other, "plain").body)
            told = [error.reason for error in (*decoded.rejected, *decoded.ignored)]
        except Undecodable as exc:
            told = [exc.hint]
        assert told, other
        assert f"the adapter {other} reads this" in told[0]


@pytest.mark.parametrize("case", CASES, ids=_case_id)
def test_no_secret_of_a_query_string_reaches_the_journal(case: Case) -> None:
    """A subscription key after any question mark is masked in every field, the original too."""
    body = case.body.replace(b"?", b"?subscription-key=c4n4ry7Value99&")
    if case.expected.get("is_undecodable") or body == case.body:
        return
    decoded = case.adapter.decode(body)
    message, _ = Redactor().redact_message(Stream.RECORD, encode_records(decoded.records))
    assert b"c4n4ry7Value99" not in message


def test_an_unknown_adapter_is_refused_with_the_known_ones() -> None:
    """A wrong path tells which adapters there are."""
    with pytest.raises(UnknownDoor) as caught:
        get_adapter("konk")
    assert "kong" in caught.value.hint


def test_times_of_whole_seconds_are_flagged() -> None:
    """A start that is known to the second only says so."""
    record = get_adapter("ingress-nginx").decode(json.dumps(_plain("ingress-nginx")).encode())
    assert SECOND_GRANULARITY in record.records[0].quality


def test_the_fixture_reader_gives_the_bytes_that_were_meant() -> None:
    """A JSON body stands for its text, base64 for bytes."""
    assert body_of({"body": {"a": 1}}) == b'{"a": 1}'
    assert body_of({"body": "x\n"}) == b"x\n"
    assert body_of({"body_base64": "/w=="}) == b"\xff"
    assert split_body(body_of({"body": [{}]})).entries == [{}]
