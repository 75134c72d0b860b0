"""What every test gets: asserts of helpers that say what differed, its place in a parallel run."""

from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine stands still for longer than the 0.2 s that an example may take.
settings.register_profile("busy", settings.default, deadline=None)
settings.load_profile("busy")

# Folders whose tests take longest, to begin with when files are shared out (`make test`).
_FIRST = ("packaging", "acceptance", "pages", "integration")

# pytest rewrites asserts in test files only; these hold asserts that tests call.
pytest.register_assert_rewrite(
    "tests.api_client",
    "tests.golden_file",
    "tests.ingest",
    "tests.mesh_doors",
    "tests.stored",
    "tests.stories",
    "tests.unit.stitch.building",
    "tests.unit.stitch.scenarios",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, so that no process is left alone with one at the end."""
    tests = Path(__file__).parent

    def place(item: pytest.Item) -> int:
        folder = item.path.relative_to(tests).parts[0]
        return _FIRST.index(folder) if folder in _FIRST else len(_FIRST)

    items.sort(key=place)
