"""What every test gets: asserts of helpers that say what differed, its place in a parallel run."""

from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine stands still for longer than the 0.2 s that an example may take.
settings.register_profile("busy", settings.default, deadline=None)
settings.load_profile("busy")

# Folders whose tests take longest, to begin with when files are shared out (`make test`).
_FIRST = ("packaging", "acceptance", "pages", "integration")
# What is dear to make and shared: its tests run in one process, so that it is made once.
_SHARED = ("browser", "wheel")

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


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first; one file, and what shares a browser or a wheel, in one process."""
    tests = Path(__file__).parent

    def place(item: pytest.Item) -> int:
        folder = item.path.relative_to(tests).parts[0]
        return _FIRST.index(folder) if folder in _FIRST else len(_FIRST)

    items.sort(key=place)
    for item in items:
        shared = [name for name in _SHARED if name in getattr(item, "fixturenames", ())]
        item.add_marker(pytest.mark.xdist_group(shared[0] if shared else str(item.path)))
