"""
What was accepted lately, so that bytes that come again are acknowledged and not stored again.

A request is known by the keyed hash of its bytes and of what they are. A sender that lost our
answer may reach another ingest process with its next connection: those of one supervisor share a
memory, and the key of the hash. It is no file on a disk, which could be full.
"""

import mmap
import os
import secrets
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from collector.model import Envelope, Receipt
from collector.timestamps import NS_PER_S

# key, monotonic second of its end, accepted records; native, so that each is written in one move
_SLOT = struct.Struct("@QII")
_SLOTS_A_KEY = 4
_SHARED_FD = "HOPLINE_RESENDS_FD"
_KEY_MASK = (1 << 64) - 1


def hash_delivery(envelope: Envelope) -> int:
    """Return what a request and its resend have in common, and nothing else has."""
    # SipHash with a random key: 0.08 us/span for 64 bits, a third of SHA-256
    identity = envelope.delivery_id or envelope.body
    return hash((identity, envelope.signal, envelope.format, envelope.adapter))


class Resends:
    """
    The receipts of the last *most* requests of the last *window_s*; with 0 none are remembered.

    With *shared* others find those too of which all was taken as it was sent.
    """

    def __init__(self, window_s: int, most: int, shared: "SharedResends | None" = None) -> None:
        self._window_ns = window_s * NS_PER_S
        self._most = most
        self._receipts: dict[int, tuple[int, Receipt]] = {}
        self._shared = shared

    def find(self, key: int, now_ns: int) -> Receipt | None:
        """Return the receipt of a request that was accepted within the window."""
        found = self._receipts.get(key)
        if found is not None and found[0] > now_ns:
            return found[1]
        return self._shared.find(key, now_ns) if self._shared is not None else None

    def add(self, key: int, receipt: Receipt, now_ns: int) -> None:
        """Remember a request of which all that is accepted is durable."""
        if not self._window_ns:
            return
        until_ns = now_ns + self._window_ns
        if self._shared is not None and receipt == Receipt(receipt.accepted, 0):
            self._shared.add(key, receipt.accepted, until_ns)
            return
        self._receipts[key] = (until_ns, receipt)
        if len(self._receipts) > self._most:
            del self._receipts[next(iter(self._receipts))]


@dataclass(frozen=True, slots=True)
class Sharing:
    """What processes are started with that share a memory: a descriptor and their environment."""

    descriptors: tuple[int, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


def share_resends() -> Sharing:
    """Make the memory that the children of this process share; only Linux has one to give."""
    if not hasattr(os, "memfd_create"):
        return Sharing()
    fd = os.memfd_create("hopline-resends")
    return Sharing(
        (fd,), {_SHARED_FD: str(fd), "PYTHONHASHSEED": str(secrets.randbelow(2**32 - 1) + 1)}
    )


def map_shared(number: int, count: int, most: int) -> "SharedResends | None":
    """Return part *number* of *count* of the shared memory, each of *most* requests; if any."""
    fd = int(os.environ.get(_SHARED_FD, "-1"))
    if fd < 0:
        return None
    size = SharedResends.size_of(most)
    os.ftruncate(fd, count * size)  # the same for all of them
    with memoryview(mmap.mmap(fd, count * size)) as whole:
        return SharedResends(whole[number * size : (number + 1) * size])


class SharedResends:
    """
    A memory of requests in *memory*, shared by all processes that hash with one key.

    Nothing is locked: of two that write one place at the same moment, one is forgotten, and what
    the store knows by its content is still counted once.
    """

    def __init__(self, memory: memoryview) -> None:
        self._memory = memory
        self._sets = len(memory) // (_SLOT.size * _SLOTS_A_KEY)

    @staticmethod
    def size_of(most: int) -> int:
        """Return the bytes that a memory of *most* requests takes."""
        return _SLOT.size * _SLOTS_A_KEY * max(most // _SLOTS_A_KEY, 1)

    def find(self, key: int, now_ns: int) -> Receipt | None:
        """Return the receipt of a request that any of the processes accepted."""
        key &= _KEY_MASK
        for at in self._places(key):
            known, until_s, accepted = _SLOT.unpack_from(self._memory, at)
            if known == key and until_s > now_ns // NS_PER_S:
                return Receipt(accepted, 0)
        return None

    def add(self, key: int, accepted: int, until_ns: int) -> None:
        """Remember a request in place of the one that would be forgotten first."""
        key &= _KEY_MASK
        at = min(self._places(key), key=lambda at: _SLOT.unpack_from(self._memory, at)[1])
        _SLOT.pack_into(self._memory, at, key, until_ns // NS_PER_S, accepted)

    def _places(self, key: int) -> range:
        first = key % self._sets * _SLOTS_A_KEY * _SLOT.size
        return range(first, first + _SLOTS_A_KEY * _SLOT.size, _SLOT.size)
