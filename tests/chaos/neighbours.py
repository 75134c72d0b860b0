"""
As many tenants as a service takes, all at once, each with a sender and a reader.

All send the same ids through every door, and their own names in every word. A reader asks what its
tenant may ask, and looks for the name of another tenant in each answer.
"""

import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from collector.http.tokens import make_token
from tests.service import Service, free_ports, start_service
from tests.tenants import SHARED_RECORD, SHARED_TRACE, Tenant, send_all

TENANTS = 32
_LASTS_S = 30.0
# 1.5 s of CPU each, for tables that are made at the first start
_START_LIMIT_S = 1800.0
_PORTS = ("ingest", "otlp_grpc", "api", "zipkin", "jaeger_http", "jaeger_grpc")
QUESTIONS = (
    f"/api/v1/requests/{SHARED_TRACE}",
    f"/api/v1/requests/{SHARED_RECORD}/explain",
    "/api/v1/requests?start=-1h",
    "/api/v1/apis",
    "/api/v1/services",
    "/api/v1/edges?operations=true",
    "/api/v1/changes",
    "/api/v1/sources",
    "/api/services",
    "/tempo/api/search?q=%7B%7D",
)


@dataclass
class Heard:
    """What readers were told: `foreign` are answers that named another tenant."""

    sent: int = 0
    answers: int = 0
    refused: int = 0
    failed: int = 0
    slowest_s: float = 0.0
    foreign: list[str] = field(default_factory=list)


def name_tenants(count: int) -> list[tuple[Tenant, str]]:
    """Return tenants whose names are in all their words, each with its entry of a token file."""
    found = []
    for number in range(count):
        name = f"n{number:02}"
        token, entry = make_token(name, ["admin"], name)
        found.append((Tenant(name, token, 0xA00 + number), entry))
    return found


@contextmanager
def serving(
    folder: Path, tenants: Sequence[tuple[Tenant, str]]
) -> Iterator[tuple[Service, dict[str, int]]]:
    """Run a service of these tenants until the block is left."""
    folder.mkdir(parents=True, exist_ok=True)
    tokens = folder / "tokens.toml"
    tokens.write_text("\n".join(entry for _, entry in tenants))
    ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))
    with start_service(
        folder,
        wait=False,
        tokens_file=str(tokens),
        tenants=",".join(tenant.name for tenant, _ in tenants),
        **{f"{name}_port": str(port) for name, port in ports.items()},
    ) as service:
        service.wait_for("/readyz", lambda status, _: status == 200, _START_LIMIT_S)
        yield service, ports


def crowd(
    tenants: Sequence[Tenant], ports: dict[str, int], lasts_s: float
) -> tuple[Heard, dict[str, int]]:
    """Let each tenant send and ask for so long; return what they heard, and answers by tenant."""
    heard, lock, until = Heard(), threading.Lock(), time.monotonic() + lasts_s
    word = re.compile(rf"\b({'|'.join(tenant.name for tenant in tenants)})-[a-z]")
    told: dict[str, int] = {}

    def send(tenant: Tenant) -> None:
        with httpx.Client(timeout=120, trust_env=False) as client:
            while time.monotonic() < until:
                send_all(tenant, ports, client)
                with lock:
                    heard.sent += 1

    def ask(tenant: Tenant) -> None:
        with httpx.Client(timeout=120, trust_env=False) as client:
            while time.monotonic() < until:
                for path in QUESTIONS:
                    url, began = f"http://127.0.0.1:{ports['api']}{path}", time.monotonic()
                    answer = client.get(url, headers=tenant.headers)
                    took_s = time.monotonic() - began
                    named = set(word.findall(answer.text))
                    with lock:
                        heard.answers += 1
                        heard.refused += answer.status_code in (429, 503)
                        # what has not been loaded yet is not found
                        heard.failed += answer.status_code not in (200, 404, 429, 503)
                        heard.slowest_s = max(heard.slowest_s, took_s)
                        told[tenant.name] = told.get(tenant.name, 0) + (tenant.name in named)
                        if named - {tenant.name}:
                            heard.foreign.append(f"{tenant.name} {path}: {named}")

    threads = [threading.Thread(target=do, args=(t,)) for t in tenants for do in (send, ask)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return heard, told


def crowded(folder: Path) -> str:
    """Run as many tenants as there may be; return the row."""
    tenants = name_tenants(TENANTS)
    with serving(folder, tenants) as (service, ports):
        idle = service.resident_bytes()
        peak, halt = dict(idle), threading.Event()
        most: dict[str, int] = {}

        def watch() -> None:
            while not halt.wait(0.5):
                for role, size in service.resident_bytes().items():
                    peak[role] = max(size, peak[role])
                for what, count in _count(service).items():
                    most[what] = max(count, most.get(what, 0))

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            heard, told = crowd([tenant for tenant, _ in tenants], ports, _LASTS_S)
        finally:
            halt.set()
            watcher.join()
        time.sleep(10)
        after = service.resident_bytes()
    grown = ", ".join(
        f"{(peak[role] - idle[role]) / 2**20:.0f} → {(after[role] - idle[role]) / 2**20:.0f} MiB"
        for role in ("ingest", "store")
    )
    counts = ", ".join(f"{count:,} {what}" for what, count in most.items())
    own, tellers = sum(told.values()), sum(map(bool, told.values()))
    return (
        f"| `tenants` | {TENANTS} tenants, each with a sender and a reader for {_LASTS_S:.0f} s: "
        f"{heard.sent:,} rounds through all doors, {heard.answers:,} answers, {own:,} with data "
        f"of the asker, of {tellers} tenants, {len(heard.foreign)} with a word of another; at most "
        f"{counts} | {heard.refused:,} questions | | any {heard.slowest_s:.1f} s "
        f"| {heard.failed} | {grown} |\n"
    )


def _count(service: Service) -> dict[str, int]:
    """Count what could grow without end: parts of tables, files and connections held open."""
    store = service.data_dir / "chdb" / "store"
    found = {
        "tables": len(list(store.glob("*/*"))),
        "parts": len(list(store.glob("*/*/*/columns.txt"))),
    }
    for role in ("ingest", "store"):
        links = [_read_link(each) for each in Path(f"/proc/{service.pids()[role]}/fd").iterdir()]
        found[f"sockets of {role}"] = sum(each.startswith("socket:") for each in links)
    return found


def _read_link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:  # closed since
        return ""
