"""
Run the cases and write what became of them into README.md beside this.

`python -m tests.chaos [--scale 0.1] [CASE ...]`; without a case all run. The table keeps the rows
of the cases that are not run, and a case's row is written after each of its runs.
"""

import argparse
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tests.chaos import clients
from tests.chaos.cases import (
    damage,
    engine_outage,
    killed,
    nearly_full_disk,
    power_cuts,
    start_bound_service,
)
from tests.chaos.disks import KINDS, MIB, CannotMountError
from tests.chaos.ledger import Client, Outcome, by_http_client
from tests.chaos.leftovers import clear_leftovers, run_folder
from tests.doubles.java_jars import SPRING_BOOT, JarsUnavailableError

_README = Path(__file__).with_name("README.md")
_LOGS = Path(".chaos")
_HEAD = "| case | runs | tried | acknowledged | lost | doubled | refused | queryable after |\n"
_RULE = "|---|---|---|---|---|---|---|---|\n"
_ROW = re.compile(r"^\| `([\w.-]+)`.*\n", re.MULTILINE)
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
    one_of_two = partial(killed, roles=("ingest", "ingest-1"), is_one_at_a_time=True)
    found["kill-one-ingest"] = 10, partial(one_of_two, kills=20, ingest_processes="2")
    both = partial(killed, roles=("ingest", "store"), kills=20)
    found["resends"] = 2, partial(both, sending={"times": 3})
    found["resends-batched-anew"] = 2, partial(both, sending={"is_batched_anew": True})
    found |= {f"client-{name}": (1, run) for name, run in _clients()}
    found["power-cut"] = 1, partial(power_cuts, cuts=50)
    found["damage"] = 1, partial(damage, places=1000)
    found["engine-outage"] = 1, partial(engine_outage, outage_s=1800)
    return found


def _clients() -> Iterator[tuple[str, Run]]:
    for offer, headers in clients.OFFERS.items():
        yield f"offer-{offer}", _by(partial(by_http_client, offer=headers))
    for option in clients.CURL_OPTIONS:
        yield f"curl-{option.lstrip('-')}", _by(partial(clients.by_curl, option))
    yield "http2", _by(clients.by_http2)
    yield "jdk", partial(clients.jdk_client, start=start_bound_service)
    yield "opentelemetry-java", partial(clients.opentelemetry_java, start=start_bound_service)
    for version in SPRING_BOOT:
        run = partial(clients.spring_boot, version=version, start=start_bound_service)
        yield f"spring-boot-{version}", run


def _by(client: Client) -> Run:
    return partial(clients.send_by, client=client, start=start_bound_service, sends_s=10)


def main() -> int:
    """Run, print, write; return 1 when anything was lost or doubled, or a run did not end."""
    cases = _cases()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", nargs="*", choices=[[], *cases], help="which ones; all")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the runs")
    parser.add_argument("--limit-s", type=float, default=7200, help="start no run after so long")
    options = parser.parse_args()
    for folder in clear_leftovers():
        print(f"cleared what a killed run had left: {folder.name}", flush=True)
    end = time.monotonic() + options.limit_s
    is_good = True
    for name in options.case or cases:
        runs, run = cases[name]
        is_good &= _repeat(name, run, max(round(runs * options.scale), 1), end, list(cases))
    return int(not is_good)


def _repeat(name: str, run: Run, runs: int, end: float, order: list[str]) -> bool:
    total, done, unfinished = Outcome(), 0, 0
    while done < runs and time.monotonic() < end:
        with run_folder() as folder:
            try:
                total.add(run(folder))
            except (CannotMountError, JarsUnavailableError) as exc:
                print(f"{name}: cannot be run here: {exc}", flush=True)
                return True
            except Exception:
                unfinished += 1
                _keep_log(folder, f"{name}-{done}", traceback.format_exc())
        done += 1
        row = (
            f"| `{name}` | {_describe_runs(done, unfinished)} | {total.tried:,} "
            f"| {total.acknowledged:,} | {total.lost} | {total.doubled} | {total.refused:,} "
            f"| {total.queryable_s:.0f} s |\n"
        )
        print(row, end="", flush=True)
        _write(name, row, order)
    return not (total.lost or total.doubled or unfinished)


def _describe_runs(done: int, unfinished: int) -> str:
    return f"{done}, of which {unfinished} did not end well" if unfinished else str(done)


def _keep_log(folder: Path, name: str, failure: str) -> None:
    """Keep what the service said, to look into it."""
    _LOGS.mkdir(exist_ok=True)
    log = folder / "hopline.log"
    text = log.read_text(errors="replace") if log.exists() else ""
    (_LOGS / f"{name}-{int(time.time())}.log").write_text(f"{failure}\n{text}")
    print(f"{name}: {failure.splitlines()[-1]}", flush=True)


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
