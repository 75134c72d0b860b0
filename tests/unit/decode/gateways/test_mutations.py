"""Every adapter on bodies changed at random: it returns or refuses, and does so quickly."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.decode.gateways import find_adapters
from collector.errors import TooLarge, Undecodable
from tests.fuzz import gateway_adapters
from tests.fuzz.gateway_adapters import ADAPTERS, TestOneInput, check_decoded
from tests.gateway_fixtures import read_cases

NAMES = list(find_adapters())
# One reader reads all that is mapped: of objects and of text lines one each stands for it.
_OF_MAPPINGS = ("traefik", "haproxy")
DRAWN = [
    name for name, each in find_adapters().items() if not each.is_mapped or name in _OF_MAPPINGS
]
BODIES = {
    adapter.name: [case.body for case in read_cases(adapter) if len(case.body) < 20_000]
    for adapter in ADAPTERS
}
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.sampled_from(["-", "0", "1e400", "00-" + "a" * 32 + "-" + "b" * 16 + "-01", "200, 502"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


@pytest.mark.parametrize("name", DRAWN)
@settings(max_examples=60, derandomize=True)
@given(data=st.data())
def test_changed_bytes_are_returned_or_refused(name: str, data: st.DataObject) -> None:
    """Bytes overwritten, cut out, doubled or joined with another body never crash an adapter."""
    body = bytearray(data.draw(st.sampled_from(BODIES[name])))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body)))
        match data.draw(st.integers(0, 3)):
            case 0:
                body[at : at + 1] = data.draw(st.binary(max_size=3))
            case 1:
                del body[at : at + data.draw(st.integers(1, 40))]
            case 2:
                body[at:at] = body[at : at + data.draw(st.integers(1, 40))]
            case _:
                body[at:] = data.draw(st.sampled_from(BODIES[name]))
    TestOneInput(bytes([NAMES.index(name)]) + bytes(body))


@pytest.mark.parametrize("name", DRAWN)
@settings(max_examples=60, derandomize=True)
@given(data=st.data())
def test_any_json_in_any_field_is_returned_or_refused(name: str, data: st.DataObject) -> None:
    """Whatever JSON stands in a field, the answer keeps the rules of records and rejections."""
    case = next(each for each in read_cases(find_adapters()[name]) if each.name.startswith("plain"))
    try:
        row: Any = json.loads(case.body)
    except json.JSONDecodeError:
        row = {"message": case.body.decode()}
    target = row
    while True:
        key = data.draw(st.sampled_from(sorted(target)))
        if not (isinstance(target[key], dict) and target[key] and data.draw(st.booleans())):
            break
        target = target[key]
    target[key] = data.draw(VALUES)
    body = json.dumps([row])
    try:
        decoded = find_adapters()[name].decode(body.encode())
    except (Undecodable, TooLarge):
        return
    # a text may hold several lines of a log
    assert len(decoded.records) + len(decoded.rejected) <= 1 + body.count("\\n")
    check_decoded(decoded)


def test_every_fixture_passes_the_fuzzer_s_own_checks() -> None:
    """A seed that fails would end every run at once; what fuzzing found once is among them."""
    for seed in gateway_adapters.seeds():
        TestOneInput(seed)
