"""The cases. Each takes a folder of its own and returns what became of what was sent."""

import itertools
import os
import random
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from collector.errors import JournalError
from collector.journal import add_checksum, read_messages
from collector.wire.varint import encode_varint
from tests.chaos.disks import MIB, hovering, small_disk
from tests.chaos.ledger import Ledger, Outcome, wait_until_loaded
from tests.chaos.power import power_cut
from tests.service import Service, start_service

Case = Callable[[Path], Outcome]


def nearly_full_disk(
    folder: Path,
    *,
    kind: str,
    most_bytes: int,
    floor_bytes: int = 24 * MIB,
    full_s: float = 12.0,
    size_bytes: int = 320 * MIB,
) -> Outcome:
    """
    Journal and engine on one disk of which 0 to *most_bytes* are free for a while.

    With 0 it is simply full. With a floor of 0 nothing keeps the engine from running into the end
    of the disk. Afterwards the processes are killed, because cut parts show at a start.
    """
    with small_disk(kind, folder, size_bytes) as disk:
        settings: dict[str, Any] = {
            "data_dir": str(disk / "data"),
            "min_free_bytes": str(floor_bytes),
        }
        service = start_bound_service(folder, **settings)
        try:
            ledger = Ledger(service.http_port)
            with ledger.sending():
                time.sleep(3)
                with hovering(disk, most_bytes):
                    time.sleep(full_s)
                time.sleep(3)
            queryable_s = wait_until_loaded(service.data_dir)
            for role in ("store", "ingest"):
                service.kill(role)
            service.stop()
            # what was found broken at the start is loaded again by then
            service = start_bound_service(folder, **settings)
            time.sleep(2)
            queryable_s += wait_until_loaded(service.data_dir)
        finally:
            service.stop()
        return ledger.settle(disk / "data", queryable_s)


def killed(
    folder: Path,
    *,
    roles: tuple[str, ...],
    kills: int,
    gap_s: float = 1.5,
    is_one_at_a_time: bool = False,
    sending: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Outcome:
    """
    Kill -9 of the processes again and again while spans and records are sent.

    Every other kill waits until something was acknowledged since the last one; the rest hit what
    is still starting as well. With *is_one_at_a_time* each hits one of them, by chance. *sending*
    goes to the ledger.
    """
    service = start_bound_service(folder, **settings)
    rng = random.Random(kills)
    try:
        ledger = Ledger(service.http_port, spans_per_s=4000, **sending or {})
        with ledger.sending():
            for number in range(kills):
                if number % 2:
                    _wait_for_acknowledged(ledger)
                time.sleep(rng.uniform(0.2, gap_s))
                for role in [rng.choice(roles)] if is_one_at_a_time else roles:
                    _kill(service, role)
            time.sleep(1)
        queryable_s = wait_until_loaded(service.data_dir, 300)
    finally:
        service.stop()
    return ledger.settle(service.data_dir, queryable_s)


def _wait_for_acknowledged(ledger: Ledger) -> None:
    before = len(ledger.traces)
    deadline = time.monotonic() + 60
    while len(ledger.traces) == before:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _kill(service: Service, role: str) -> None:
    # what is between a crash and the next start is waited for, so that each kill hits a process
    deadline = time.monotonic() + 60
    while role not in service.pids():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    service.kill(role)


def power_cuts(folder: Path, *, cuts: int) -> Outcome:
    """Power cuts in the model of a file system; messages are counted."""
    total = Outcome()
    for seed in range(cuts):
        total.add(power_cut(folder, seed))
    return total


def damage(folder: Path, *, places: int) -> Outcome:
    """
    Flip a bit, or cut, at random places of sealed segments; messages are counted.

    Lost is what is whole and not read, and damage that is not reported.
    """
    rng = random.Random(places)
    total = Outcome()
    for number in range(places):
        messages = [add_checksum(rng.randbytes(rng.randint(0, 4000))) for _ in range(20)]
        content = bytearray(b"".join(encode_varint(len(m)) + m for m in messages))
        path = folder / f"{number:020d}-00000000.{len(messages)}x{len(content)}.seg"
        at = rng.randrange(len(content))
        is_cut = number % 2 == 0
        if is_cut:
            del content[at:]
        else:
            content[at] ^= 1 << rng.randrange(8)
        path.write_bytes(content)
        found, is_reported = _read_what_is_left(path)
        path.unlink()
        ends = list(itertools.accumulate(len(encode_varint(len(m))) + len(m) for m in messages))
        whole = sum(end <= at for end in ends) if is_cut else len(messages) - 1
        is_silent = len(found) < len(messages) and not is_reported
        lost = max(whole - len(found), 0) + is_silent
        total.add(Outcome(len(messages), whole, 0, lost, len(found) - len(set(found))))
    return total


def _read_what_is_left(path: Path) -> tuple[list[bytes], bool]:
    found: list[bytes] = []
    try:
        for _, message in read_messages(path):
            found.append(message)
    except JournalError:
        return found, True
    return found, False


def engine_outage(folder: Path, *, outage_s: float, spans_per_s: float = 20_000) -> Outcome:
    """The store process cannot run for a while; what comes meanwhile waits in the journal."""
    service = start_bound_service(folder, journal_max_bytes=str(64 << 30))
    try:
        ledger = Ledger(service.http_port, traces=20, spans=25, senders=4, spans_per_s=spans_per_s)
        with ledger.sending():
            time.sleep(1)
            stopped = service.pids()["store"]
            os.kill(stopped, signal.SIGSTOP)
            time.sleep(outage_s)
            os.kill(stopped, signal.SIGKILL)
        queryable_s = wait_until_loaded(service.data_dir, 2 * outage_s + 600)
    finally:
        service.stop()
    return ledger.settle(service.data_dir, queryable_s)


def start_bound_service(folder: Path, **settings: Any) -> Service:
    """Start a service that ends with this process, however that ends."""
    return start_service(folder, parent_pid=str(os.getpid()), **settings)
