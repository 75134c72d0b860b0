"""
A journal segment into its landing table, exactly once.
"""

from pathlib import Path

from clickhouse_connect.driver import Client

from collector.model import Stream
from collector.store.rendering import WIRE_DIR, read_wire_schema

# Part of every token: rows that a changed schema reads differently are different rows.
SCHEMA_VERSION = 1
_LANDING = {
    Stream.TRACE: ("landing_trace", "landing_trace", "Landing"),
    Stream.LOG: ("landing_log", "landing_log", "Landing"),
    Stream.METRIC: ("landing_metric", "landing_metric", "Landing"),
    Stream.RECORD: ("landing_record", "gateway_record", "GatewayRecords"),
}


def load_file(
    client: Client, database: str, stream: Stream, path: Path, token: str, *, is_embedded: bool
) -> None:
    """
    Insert the messages of *path* as one block under *token*.

    The token makes a repeated load a no-op in the table and in everything its views feed.
    """
    table, schema, message = _LANDING[stream]
    options = {
        "output_format_json_escape_forward_slashes": "0",
        "insert_deduplication_token": f"{token}/{SCHEMA_VERSION}",
        "deduplicate_blocks_in_dependent_materialized_views": "1",
        # One block a segment: the token then stands for all of it, whatever the machine.
        "max_block_size": "2000000",
        "max_insert_block_size": "100000000",
        "min_insert_block_size_rows": "0",
        "min_insert_block_size_bytes": "0",
        # Above 50 MB of states or 100,000 groups the engine groups in 256 parts, and a view writes
        # each into a part of its own: 50,000 traces of one span took 18 CPU-s to load, not 0.9.
        "group_by_two_level_threshold": "0",
        "group_by_two_level_threshold_bytes": "0",
    }
    if is_embedded:
        # As text the embedded engine would write it to `__cache__` in the working directory.
        options["format_schema"] = f"{WIRE_DIR / schema}.proto:{message}"
        clause = ", ".join(f"{name} = {_quoted(value)}" for name, value in options.items())
        client.command(
            f"INSERT INTO {database}.{table} FROM INFILE {_quoted(str(path))} "
            f"SETTINGS {clause} FORMAT Protobuf"
        )
        return
    options["format_schema_source"] = "string"
    options["format_schema"] = read_wire_schema(schema)
    options["format_schema_message_name"] = message
    with path.open("rb") as file:
        client.raw_insert(
            f"{database}.{table}", insert_block=file, settings=options, fmt="Protobuf"
        )


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
