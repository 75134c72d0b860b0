"""The cases. Each takes a folder of its own and returns what became of what was sent."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.chaos.disks import MIB, hovering, small_disk
from tests.chaos.ledger import Ledger, Outcome, wait_until_loaded
from tests.service import start_service

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
        service = start_service(folder, **settings)
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
            service = start_service(folder, **settings)
            time.sleep(2)
            queryable_s += wait_until_loaded(service.data_dir)
        finally:
            service.stop()
        return ledger.settle(disk / "data", queryable_s)
