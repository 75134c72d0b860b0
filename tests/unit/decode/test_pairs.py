"""Lines of names and values: LTSV; logfmt's own tests are with the mappings that use it."""

import pytest

from collector.decode.pairs import parse_logfmt, parse_ltsv


def test_labels_between_tabs_are_read() -> None:
    """Values keep their colons, and labels of the convention get the names that all others use."""
    line = "time:03/Feb/2026:10:20:30 +0000\thost:198.51.100.7\tvhost:bloom.example\treqtime:0.1"
    assert parse_ltsv(line) == {
        "time": "03/Feb/2026:10:20:30 +0000",
        "remote_addr": "198.51.100.7",
        "host": "bloom.example",
        "request_time": "0.1",
    }


def test_host_is_the_host_where_the_client_has_a_name_of_its_own() -> None:
    """Only the convention calls the client `host`; who says `remote_addr` does not keep to it."""
    line = "remote_addr:198.51.100.7\thost:bloom.example\tstatus:200"
    found = parse_ltsv(line)
    assert (found["remote_addr"], found["host"]) == ("198.51.100.7", "bloom.example")


@pytest.mark.parametrize("line", ["", "a:1\tb:2", "a:1\tb\tc:3", "no tabs: at all", "\t\t\t x"])
def test_other_lines_are_none(line: str) -> None:
    """Less than three labels, or a part without one, is not LTSV."""
    assert parse_ltsv(line) == {}


def test_half_a_character_stays_as_it_was_written() -> None:
    """A lone surrogate in an escape is no character, and no store could hold it."""
    found = parse_logfmt(r'host="har\ud800bour.example" path="/a\u0062"')
    assert found == {"host": r"har\ud800bour.example", "path": "/ab"}
