"""
When a file was changed: what is read again without a restart is asked for it often.
"""

from pathlib import Path


def stamp_of(file: Path) -> tuple[int, int] | None:
    """Return what changes when the file is written or replaced; `None` when it is not there."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino
