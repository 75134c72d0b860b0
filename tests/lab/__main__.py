"""
`python -m tests.lab [kind …] [--requests N] [--small] [--write]`: run the lab and print the table.

Exit status 1 when a target is missed. Logs, Hopline's data and every wrong answer lie in `.lab`.
"""

import argparse
import asyncio
import json
import shutil
import sys
import time
from pathlib import Path

from tests.lab.kinds import SCENARIOS, SMALL
from tests.lab.report import README, find_misses, render_details, render_table, write_readme
from tests.lab.run import Results, run

_FOLDER = Path(__file__).parents[2] / ".lab"


def main() -> int:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    parser.add_argument("kinds", nargs="*", help="only these kinds of request")
    parser.add_argument("--requests", type=int, default=20, help="how many of each kind")
    parser.add_argument("--small", action="store_true", help="the kinds that the tests run")
    parser.add_argument("--write", action="store_true", help=f"put the table into {README.name}")
    arguments = parser.parse_args()
    chosen = arguments.kinds or (SMALL if arguments.small else [s.name for s in SCENARIOS])
    scenarios = [scenario for scenario in SCENARIOS if scenario.name in chosen]
    shutil.rmtree(_FOLDER, ignore_errors=True)
    begun = time.monotonic()
    results = asyncio.run(run(scenarios, arguments.requests, _FOLDER, _say))
    _keep_wrong_answers(results)
    table = render_table(scenarios, results, time.monotonic() - begun)
    print(render_details(results) + table)
    if arguments.write:
        write_readme(table)
    misses = find_misses(results)
    for miss in misses:
        print(f"missed: {miss}", file=sys.stderr)
    return 1 if misses else 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _keep_wrong_answers(results: Results) -> None:
    folder = _FOLDER / "wrong"
    folder.mkdir(parents=True, exist_ok=True)
    for score in results.scores:
        if not score.is_right:
            answer = results.answers.get(score.sent.id)
            path = folder / f"{score.sent.scenario.name}-{score.sent.marker}.json"
            path.write_text(json.dumps({"said": score.said, "answer": answer}, indent=1))


if __name__ == "__main__":
    sys.exit(main())
