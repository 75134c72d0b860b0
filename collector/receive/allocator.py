"""
What the C library does with memory that is given back: left alone, it keeps it.

glibc raises the size from which memory comes straight from the system as soon as such a piece is
freed, and has an arena of its own for each thread: after a few large bodies the process held two
gigabytes for good, for nothing. Other C libraries have no such functions, and no such habit.
"""

import ctypes
import logging

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_OWN_PIECE_BYTES = 512 * 1024
_ARENAS = 2
_log = logging.getLogger(__name__)


def give_memory_back() -> None:
    """Have large pieces go back to the system as soon as they are freed."""
    library = ctypes.CDLL(None)
    try:
        library.mallopt(_M_MMAP_THRESHOLD, _OWN_PIECE_BYTES)
        library.mallopt(_M_TRIM_THRESHOLD, 4 * _OWN_PIECE_BYTES)
        library.mallopt(_M_ARENA_MAX, _ARENAS)
    except AttributeError:
        _log.debug("this C library has no mallopt")


def trim() -> None:
    """Give back what lies free between pieces that are held. Blocking, for some milliseconds."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except AttributeError:
        _log.debug("this C library has no malloc_trim")
