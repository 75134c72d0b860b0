"""
Work that one process at a time does, where several share a ClickHouse.

Each that could do it claims it and renews its claim; the earliest claim that has not run out holds.
ClickHouse compares nothing when it writes, so a new claim is acted on only after it has stood for
one round: until then everybody else has seen it. Who was silent for longer than a claim lasts has
lost it and stands behind the others. Two at once are possible only while a server answers one of
them from a copy that is behind: what is done must stay right when it is done twice.
"""

from clickhouse_connect.driver.client import Client

from collector.store.reads import ask

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
