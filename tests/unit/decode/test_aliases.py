"""Keys that users choose: spellings of one fact meet, and errors keep what the sender wrote."""

from typing import Any

import pytest

from collector.decode.aliases import Aliases
from collector.decode.fields import FieldError, Row, read_int
from collector.model import GatewayRecord

ALIASES = Aliases(
    {"requestId": ("id",), "status": ("statusCode",), "took": ()}, prefixes=("context.",)
)


@pytest.mark.parametrize(
    "key",
    ["requestId", "request_id", "REQUEST-ID", "context.requestId", "$context.requestId", "Id"],
)
def test_every_spelling_is_the_same_fact(key: str) -> None:
    """Case, punctuation, the prefix and the listed synonyms make no difference."""
    assert ALIASES.resolve({key: "a", "other": 1}) == {"requestId": "a"}


def test_of_several_spellings_the_best_that_is_there_wins() -> None:
    """The order is that of the aliases, and a placeholder does not hide a value."""
    assert ALIASES.resolve({"id": "worse", "requestId": "better"}) == {"requestId": "better"}
    assert ALIASES.resolve({"id": "worse", "requestId": "-"}) == {"requestId": "worse"}
    assert ALIASES.resolve({"id": "", "requestId": None}) == {"requestId": None}


def test_rows_of_the_same_keys_do_not_share_values() -> None:
    """What is remembered is where the facts stand, not what they are."""
    assert ALIASES.resolve({"took": 1})["took"] == 1
    assert ALIASES.resolve({"took": 2})["took"] == 2


def test_errors_name_the_key_as_it_was_sent() -> None:
    """A user looks for the key of the own format, not for ours."""

    def read(facts: dict[str, Any], row: Row) -> GatewayRecord:
        read_int(facts, "status")
        raise FieldError("nowhere", "is missing")

    with pytest.raises(FieldError) as caught:
        ALIASES.reader(read)({"x": 1, "status_code": "teapot"})
    assert caught.value.field == "status_code"
    with pytest.raises(FieldError) as caught:
        ALIASES.reader(read)({"status_code": 200})
    assert caught.value.field == "nowhere"


def test_hostile_keys_are_read_and_not_remembered() -> None:
    """Ever new shapes, very many columns and very long keys cost no memory."""
    aliases = Aliases({"took": ()})
    for number in range(1000):
        assert aliases.resolve({"took": number, f"k{number}": 1}) == {"took": number}
    assert aliases.resolve({"K" * 100_000: 1, "took": 3}) == {"took": 3}
    assert aliases.resolve({f"k{n}": n for n in range(5000)} | {"took": 4}) == {"took": 4}
    assert len(aliases._shapes) <= 256
    assert all(len(columns) <= 256 for columns in aliases._shapes)
