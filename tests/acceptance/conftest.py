"""One running service for the acceptance tests that do not break it."""

from collections.abc import Iterator

import pytest

from tests.service import Service, start_service


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with the embedded store; tests share it, so each uses ids of its own."""
    with start_service(tmp_path_factory.mktemp("service")) as running:
        yield running
