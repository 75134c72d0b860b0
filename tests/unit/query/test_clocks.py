"""How much is read to learn the hosts' clocks from."""

import pytest

from collector.query.clocks import sample_size
from tests.stored import NS


@pytest.mark.parametrize(
    ("elapsed_ns", "requests"),
    [(None, 60), (0, 2), (5 * NS, 10), (30 * NS, 60), (3600 * NS, 60)],
)
def test_as_many_are_read_as_the_time_allows(elapsed_ns: int | None, requests: int) -> None:
    """Two a second whatever was found in them, and no more than a page after a silence."""
    assert sample_size(elapsed_ns) == requests
