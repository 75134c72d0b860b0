"""
Work that one process at a time does, where several share a ClickHouse.

Each that could do it claims it and renews its claim; the earliest claim that has not run out holds.
ClickHouse compares nothing when it writes, so a new claim is acted on only after it has stood for
one round: until then everybody else has seen it. Who was silent for longer than a claim lasts has
lost it and stands behind the others. Two at once are possible only while a server answers one of
them from a copy that is behind: what is done must stay right when it is done twice.
"""

from time import monotonic
from typing import TYPE_CHECKING
from uuid import uuid4

from clickhouse_connect.driver.client import Client

from collector.store.reads import ask
from collector.timestamps import NS_PER_S

if TYPE_CHECKING:
    from collector.store.store import Store

LASTS_S = 30.0
"""How long a claim lasts after it was made or renewed."""

_CLAIM = """
INSERT INTO {database:Identifier}.lease (name, holder, revision, is_gone, since_ns, until_ns)
WITH
    toUnixTimestamp64Nano(now64(9)) AS now_ns,
    (SELECT max(since_ns) FROM {database:Identifier}.lease FINAL
     WHERE name = {work:String} AND holder = {holder:String} AND until_ns > now_ns) AS since
SELECT
    {work:String}, {holder:String}, now_ns, 0,
    if(ifNull(since, 0) = 0, now_ns, assumeNotNull(since)), now_ns + {lasts_ns:Int64}
"""


def claim(client: Client, database: str, work: str, holder: str, lasts_ns: int) -> int | None:
    """
    Claim a piece of work, or renew the claim; with 0 ns it is given back.

    Returns:
        How many ns ago *holder* claimed it, when it is the one that holds it; else `None`.
    """
    given = {"database": database, "work": work, "holder": holder, "lasts_ns": lasts_ns}
    client.command(_CLAIM, parameters=given)
    rows = ask(client, "find_holder", database=database, work=work)
    return int(rows[0][1]) if rows and rows[0][0] == holder else None


class Lease:
    """
    This process's claim to *work*. Not thread-safe, but that any thread may ask `is_good`.

    With the embedded engine there is nobody else, and the claim is good at once. Else another
    process takes over within a minute after the holder was last heard of. *node* is what others
    call the one that holds it.
    """

    def __init__(
        self, store: "Store", work: str, *, node: str = "", lasts_s: float = LASTS_S
    ) -> None:
        self._store = store
        self._work = work
        self.holder = f"{node} {uuid4().hex}".strip()
        self._lasts_s = lasts_s
        self._renew_at_s = 0.0
        self._good_until_s = 0.0

    @property
    def is_good(self) -> bool:
        """Tell whether the claim holds, without asking anybody: it runs out by itself."""
        return self._store.is_embedded or monotonic() < self._good_until_s

    def is_held(self) -> bool:
        """Renew the claim, and tell whether it holds. Raises `StoreUnavailable`."""
        if self._store.is_embedded:
            return True
        now_s = monotonic()
        if now_s >= self._renew_at_s:
            held_ns = self._claim(self._lasts_s)
            self._renew_at_s = now_s + self._lasts_s / 3
            is_seen = held_ns is not None and held_ns >= self._lasts_s / 3.5 * NS_PER_S
            # a little before the others think so
            self._good_until_s = now_s + self._lasts_s * 0.8 if is_seen else 0.0
        return self.is_good

    def give_back(self) -> None:
        """Let another process go on at once. Raises `StoreUnavailable`."""
        if not self._store.is_embedded and self._renew_at_s:
            self._good_until_s = 0.0
            self._claim(0)

    def _claim(self, lasts_s: float) -> int | None:
        return self._store.claim(self._work, self.holder, int(lasts_s * NS_PER_S))
