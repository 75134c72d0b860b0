"""
How far polled sources have been read, for all that may poll them, and who does.

What a document says is the affair of who polls: see `pull/watermarks.py`.
"""

from dataclasses import asdict, dataclass

import orjson
from clickhouse_connect.driver.client import Client

from collector.store.reads import ask

_POLL = "poll "


@dataclass(frozen=True, slots=True)
class PullProgress:
    """
    A JSON document about one source, another one with the rows that it has seen, and who wrote it.
    """

    holder: str
    progress: str
    seen: str


@dataclass(frozen=True, slots=True)
class PolledSource:
    """A document about one source, who wrote it, and whose turn it is at present, "" for none."""

    progress: str
    writer: str
    holder: str


def poll_of(workspace: str, table: str) -> str:
    """Return what polling a source is called as a piece of work."""
    return f"{_POLL}{workspace}/{table}"


def get_progress(client: Client, database: str, workspace: str, table: str) -> PullProgress | None:
    """Return what was kept last about a source."""
    rows = ask(
        client, "get_pull_progress", database=database, workspace=workspace, table_name=table
    )
    return PullProgress(*rows[0]) if rows else None


def set_progress(
    client: Client, database: str, workspace: str, table: str, kept: PullProgress
) -> None:
    """Keep what is known about a source in place of what was."""
    row = {"workspace": workspace, "table_name": table, **asdict(kept)}
    # `insert` would import pandas, 80 MB that a process with doors has no other use for
    client.raw_insert(
        f"{database}.pull_progress",
        column_names=tuple(row),
        insert_block=orjson.dumps(row),
        fmt="JSONEachRow",
        settings={"distributed_foreground_insert": 1},
    )


def find_sources(client: Client, database: str) -> list[PolledSource]:
    """Return what is known about each source, and who polls it."""
    held = ask(client, "find_holders", database=database, kind=_POLL)
    holders = {str(name): str(holder) for name, holder in held}
    return [
        PolledSource(progress, writer, holders.get(poll_of(workspace, table), ""))
        for workspace, table, writer, progress in ask(
            client, "find_pull_progress", database=database
        )
    ]
