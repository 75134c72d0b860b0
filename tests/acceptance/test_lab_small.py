"""
The lab's smaller run: known behaviour behind real Envoys, and every answer right.

The whole lab is `make lab`; tests/lab/README.md has its figures.
"""

import asyncio
from pathlib import Path

from tests.lab.kinds import SCENARIOS, SMALL
from tests.lab.report import find_misses, render_details
from tests.lab.run import run

_REQUESTS = 3


def test_small_lab_finds_no_wrong_answer(tmp_path: Path) -> None:
    """Hop, layer, class, findings, phases and joins of every request are what was injected."""
    scenarios = [scenario for scenario in SCENARIOS if scenario.name in SMALL]
    results = asyncio.run(run(scenarios, _REQUESTS, tmp_path, print))
    assert not find_misses(results)
    assert len(results.scores) == _REQUESTS * len(SMALL)
    wrong = [score for score in results.scores if not score.is_right]
    assert not wrong, render_details(results)
