"""What every test gets: asserts of helper files that say what differed, and a limit on its time."""

import pytest

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
