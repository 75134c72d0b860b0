"""One running service for the acceptance tests that do not break it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service import Service, free_ports, start_service

MAPPINGS = Path(__file__).parents[2] / "deploy" / "gateways" / "mappings" / "example.toml"


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with the embedded store; tests share it, so each uses ids of its own."""
    folder = tmp_path_factory.mktemp("service")
    (port,) = free_ports(1)
    with start_service(folder, gateway_mappings=str(MAPPINGS), zipkin_port=str(port)) as running:
        yield running
