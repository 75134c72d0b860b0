"""
Run the cases and write what became of them into README.md beside this.

`python -m tests.chaos [--scale 0.1] [CASE ...]`; without a case all run. The table keeps the rows
of the cases that are not run.
"""

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.chaos.cases import (
    damage,
    engine_outage,
    killed,
    nearly_full_disk,
    power_cuts,
)
from tests.chaos.disks import KINDS, MIB, CannotMountError
from tests.chaos.ledger import Outcome

_README = Path(__file__).with_name("README.md")
_HEAD = "| case | runs | tried | acknowledged | lost | doubled | refused | queryable after |\n"
_RULE = "|---|---|---|---|---|---|---|---|\n"
_ROW = re.compile(r"^\| `([\w-]+)`.*\n", re.MULTILINE)
Run = Callable[[Path], Outcome]


def _cases() -> dict[str, tuple[int, Run]]:
    """Return how often each case is run in full, and how."""
    found: dict[str, tuple[int, Run]] = {}
    for kind in KINDS:
        for name, most, floor in (
            ("hover", 4 * MIB, 24 * MIB),
            ("fill", 0, 24 * MIB),
            ("no-floor", 4 * MIB, 0),
        ):
            run = partial(nearly_full_disk, kind=kind, most_bytes=most, floor_bytes=floor)
            found[f"{kind}-{name}"] = 40, run
    for name, roles in (
        ("ingest", ("ingest",)),
        ("store", ("store",)),
        ("both", ("ingest", "store")),
    ):
        found[f"kill-{name}"] = 10, partial(killed, roles=roles, kills=20)
    found["power-cut"] = 1, partial(power_cuts, cuts=50)
    found["damage"] = 1, partial(damage, places=1000)
    found["engine-outage"] = 1, partial(engine_outage, outage_s=1800)
    return found


def main() -> int:
    """Run, print, write; return 1 when anything was lost or doubled."""
    cases = _cases()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", nargs="*", choices=[[], *cases], help="which ones; all")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the runs")
    parser.add_argument("--limit-s", type=float, default=7200, help="start no run after so long")
    options = parser.parse_args()
    begin = time.monotonic()
    is_bad = False
    for name in options.case or cases:
        runs, run = cases[name]
        total, done = Outcome(), 0
        for _ in range(max(round(runs * options.scale), 1)):
            if time.monotonic() - begin > options.limit_s:
                break
            with tempfile.TemporaryDirectory(prefix="hopline-chaos-") as folder:
                try:
                    total.add(run(Path(folder)))
                except CannotMountError as exc:
                    print(f"{name}: cannot mount: {exc}", flush=True)
                    break
            done += 1
        if done:
            is_bad |= bool(total.lost or total.doubled)
            row = (
                f"| `{name}` | {done} | {total.tried:,} | {total.acknowledged:,} | {total.lost} "
                f"| {total.doubled} | {total.refused:,} | {total.queryable_s:.0f} s |\n"
            )
            print(row, end="", flush=True)
            _write(name, row, list(cases))
    return int(is_bad)


def _write(name: str, row: str, order: list[str]) -> None:
    begin, end = "<!-- table -->\n", "<!-- end -->"
    before, _, rest = _README.read_text().partition(begin)
    table, _, after = rest.partition(end)
    rows = {match[1]: match[0] for match in _ROW.finditer(table)}
    rows[name] = row
    lines = "".join(rows[each] for each in order if each in rows)
    _README.write_text(before + begin + _HEAD + _RULE + lines + end + after)


if __name__ == "__main__":
    sys.exit(main())
