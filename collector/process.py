"""
What ties processes to each other: who holds a data folder, and children that end with their parent.
"""

import ctypes
import fcntl
import json
import os
import signal
import sys
import time
from pathlib import Path

from collector.errors import ConfigError

_PR_SET_PDEATHSIG = 1
_LOOK_S = 0.1


def hold_folder(data_dir: Path, role: str, patience_s: float = 0.0) -> int:
    """
    Hold *data_dir* for this process and *role*, until it ends however it ends.

    The roles of one service hold it side by side; the same role twice does not go. Who holds it has
    *patience_s* to end. Returns the descriptor of the lock; keep it open.

    Raises:
        ConfigError: another process holds it; the message names it.
    """
    path = data_dir / f"{role}.lock"
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() < deadline:
                time.sleep(_LOOK_S)
                continue
        holder = _read_holder(lock)
        os.close(lock)
        raise ConfigError(
            f"{data_dir} is in use: {holder} runs role {role} on it",
            hint="stop that process, or set HOPLINE_DATA_DIR to another folder",
        )
    os.ftruncate(lock, 0)
    os.pwrite(lock, json.dumps({"pid": os.getpid(), "role": role}).encode(), 0)
    return lock


def end_with_parent(parent: int) -> None:
    """
    Have the system end this process when its *parent* ends, however that ends.

    Without Linux's way of saying so the caller has to look; see `is_orphan`.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if is_orphan(parent):  # it ended before the system was told
        raise SystemExit(0)


def is_orphan(parent: int) -> bool:
    """Tell whether the process *parent*, which started this one, is gone."""
    return os.getppid() != parent


def _read_holder(lock: int) -> str:
    try:
        pid = int(json.loads(os.pread(lock, 1000, 0))["pid"])
    except (ValueError, KeyError, TypeError):
        return "another process"
    return f"process {pid}"
