"""
Clients that would crowd out others, and what the others notice of it.

`python -m tests.chaos.abuse [--names 200000] [CASE …]` runs the cases and writes their table into
README.md beside this; the rows of cases that are not run stay. Each floods a service with names
that are all different, or with more than it can take, while somebody else goes on asking for a list
of requests and for one timeline. *Slowest answer* is theirs, from the first body until all of it is
loaded.
"""

import argparse
import http.client
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.chaos.floods import KINDS, flood
from tests.chaos.ledger import wait_until_loaded
from tests.chaos.leftovers import run_folder
from tests.chaos.neighbours import crowded
from tests.chaos.overload import overloaded
from tests.ingest import make_request, make_span
from tests.service import Service, start_service

_README = Path(__file__).with_name("README.md")
_BEGIN, _END = "<!-- abuse -->\n", "<!-- end of abuse -->"
_HEAD = (
    "| case | tried | refused | loaded after | slowest answer to others | failed answers "
    "| memory above idle, at most → 10 s after: ingest, store |\n|---|---|---|---|---|---|---|\n"
)
_ROW = re.compile(r"^\| `([\w-]+)`.*\n", re.MULTILINE)
_PROTOBUF = "application/x-protobuf"


@dataclass
class _Asked:
    slowest_s: dict[str, float] = field(default_factory=dict)
    failed: int = 0


def attacked(folder: Path, name: str, attack: Callable[[Service], tuple[str, int]]) -> str:
    """
    Run one case; return its row.

    *attack* returns what it tried and how many requests were refused.
    """
    with start_service(folder) as service:
        trace = _send_one(service)
        idle = service.resident_bytes()
        peak = dict(idle)
        paths = (f"/api/v1/requests/{trace}", "/api/v1/requests?limit=20", "/api/v1/sources")
        with _asking(service, paths, peak) as asked:
            tried, refused = attack(service)
            loaded_s = wait_until_loaded(service.data_dir)
            time.sleep(2)
        time.sleep(10)
        after = service.resident_bytes()
        grown = ", ".join(
            " → ".join(f"{(size[role] - idle[role]) / 2**20:.0f}" for size in (peak, after))
            + " MiB"
            for role in ("ingest", "store")
        )
    slowest = ", ".join(
        f"{what} {asked.slowest_s[path]:.1f} s"
        for what, path in zip(("timeline", "list", "sources"), paths, strict=True)
    )
    return (
        f"| `{name}` | {tried} | {refused:,} requests | {loaded_s:.0f} s | {slowest} "
        f"| {asked.failed} | {grown} |\n"
    )


def flooded(service: Service, kind: str, names: int) -> tuple[str, int]:
    """Send *names* names of one *kind*."""
    refused = 0
    connection = http.client.HTTPConnection("127.0.0.1", service.http_port, timeout=120)
    for path, content_type, body in flood(kind, names):
        connection.request("POST", path, body, {"content-type": content_type})
        answer = connection.getresponse()
        answer.read()
        refused += answer.status != 200
    connection.close()
    return f"{names:,} names", refused


def _send_one(service: Service) -> str:
    span = make_span(1)
    status, _ = service.post("/v1/traces", make_request(span), _PROTOBUF)
    assert status == 200
    trace = span.trace_id.hex()
    service.wait_for(f"/api/v1/requests/{trace}", lambda status, _: status == 200)
    return trace


@contextmanager
def _asking(service: Service, paths: tuple[str, ...], peak: dict[str, int]) -> Iterator[_Asked]:
    """Ask for *paths* in turn while the block runs, and keep the most memory seen in *peak*."""
    asked, halt = _Asked(), threading.Event()

    def ask() -> None:
        while not halt.is_set() or len(asked.slowest_s) < len(paths):
            for path in paths:
                began = time.monotonic()
                try:
                    status, _ = service.get(path)
                except OSError:
                    status = 0
                asked.failed += status != 200
                took_s = time.monotonic() - began
                asked.slowest_s[path] = max(took_s, asked.slowest_s.get(path, 0.0))
            for role, size in service.resident_bytes().items():
                peak[role] = max(size, peak.get(role, 0))
            halt.wait(0.2)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield asked
    finally:
        halt.set()
        thread.join()


def _write(row: str) -> None:
    before, _, rest = _README.read_text().partition(_BEGIN)
    table, _, after = rest.partition(_END)
    rows = {match[1]: match[0] for match in _ROW.finditer(table + row)}
    lines = "".join(rows[name] for name in sorted(rows))
    _README.write_text(before + _BEGIN + _HEAD + lines + _END + after)


def main() -> None:
    """Run the cases and write each one's row."""
    parser = argparse.ArgumentParser(description=__doc__)
    floods = {f"flood-{kind}": kind for kind in KINDS}
    overloads = {"overload": "http", "overload-grpc": "grpc"}
    names = [*floods, *overloads, "tenants"]
    parser.add_argument("case", nargs="*", choices=[[], *names], help="which ones; all")
    parser.add_argument("--names", type=int, default=200_000, help="how many names a flood brings")
    options = parser.parse_args()
    for name in options.case or names:
        with run_folder() as folder:
            if name == "tenants":
                row = crowded(folder)
            elif name in overloads:
                row = attacked(folder, name, partial(overloaded, door=overloads[name]))
            else:
                flood_it = partial(flooded, kind=floods[name], names=options.names)
                row = attacked(folder, name, flood_it)
        print(row, end="", flush=True)
        _write(row)


if __name__ == "__main__":
    main()
