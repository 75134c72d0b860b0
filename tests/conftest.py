"""What every test gets: asserts of helper files that say what differed, and a limit on its time."""

import pytest
from hypothesis import settings

# A busy machine stands still for longer than the 0.2 s that an example may take.
settings.register_profile("busy", settings.default, deadline=None)
settings.load_profile("busy")

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
