"""
SQL and wire schemas as text: read from their files, macros expanded, names filled in.

`{{name}}` is a value of the environment (database, engines, cluster) or, failing that, the file
`macros/name.sql`; `{{name:argument}}` puts the argument in place of `$1` there. A line that ends
with `-- when part` is there only if the caller asks for that part: the engine takes 12 ms to
analyse a search in which every filter is written out and switched off.
"""

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from collector.config import StoreSettings

SCHEMA_DIR = Path(__file__).parent / "schema"
MACRO_DIR = Path(__file__).parent / "macros"
QUERY_DIR = Path(__file__).parent / "queries"
WIRE_DIR = Path(__file__).parent.parent / "wire"
# An argument may hold bound parameters, `{name:Type}`.
_PLACE = re.compile(r"\{\{(\w+)(?::((?:[^{}]|\{[^{}]*\})*))?\}\}")
_WHEN = re.compile(r"^(?P<line>.*) -- when (?P<part>\w+)$")
_COMMENT = re.compile(r"^--.*\n", re.MULTILINE)
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_ENVIRONMENT = frozenset({
    "database", "cluster", "on_cluster", "local", "durable",
    "merge_tree", "aggregating_merge_tree", "replacing_merge_tree",
})  # fmt: skip
# A window of loads per table, far more than the journal can hold unreleased segments of.
_TOKENS = 10_000
# What makes parts cheaper to write: all together 0.8 us a span and 7 of 81 bytes.
# - Lengths before their texts, not in streams of 8 bytes each: 0.5 us a span and all of the bytes.
# - Marks and keys packed by LZ4: there are 60 small files of them in a part of the spans. 0.2 us.
# - Columns that are nearly empty found by a sample instead of counting every row. 0.15 us.
LEAN = {
    "string_serialization_version": "'single_stream'",
    "marks_compression_codec": "'LZ4'",
    "primary_key_compression_codec": "'LZ4'",
    "compute_exact_num_defaults_for_sparse_columns": "0",
}


@dataclass(frozen=True, slots=True)
class Names:
    """The names that differ between one node and a cluster."""

    values: Mapping[str, str]
    is_cluster: bool


def build_names(settings: StoreSettings, known: Container[str] = LEAN) -> Names:
    """
    Return the names for these settings.

    *known* are the table settings of the server: of `LEAN` it is given those that it has.

    Raises:
        ValueError: the database or the cluster is not a plain identifier.
    """
    for word in (settings.database, settings.cluster or "none"):
        if not _WORD.fullmatch(word):
            msg = f"{word!r} is not a plain name (letters, digits and underscores)"
            raise ValueError(msg)
    is_cluster = bool(settings.cluster)
    replica = "('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')"
    prefix, arguments = ("Replicated", replica) if is_cluster else ("", "")
    window = (
        "replicated_deduplication_window" if is_cluster else "non_replicated_deduplication_window"
    )
    values = {
        "database": settings.database,
        "cluster": settings.cluster,
        "on_cluster": f"ON CLUSTER {settings.cluster}" if is_cluster else "",
        "local": "_local" if is_cluster else "",
        "merge_tree": f"{prefix}MergeTree{arguments}",
        "aggregating_merge_tree": f"{prefix}AggregatingMergeTree{arguments}",
        "replacing_merge_tree": f"{prefix}ReplacingMergeTree{arguments}",
        "durable": (
            f"{window} = {_TOKENS}, fsync_after_insert = 1, fsync_part_directory = 1, "
            "ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1"
            + "".join(f", {name} = {value}" for name, value in LEAN.items() if name in known)
        ),
    }
    return Names(values, is_cluster)


def expand(text: str, names: Names, parts: Container[str] = ()) -> str:
    """Fill in every `{{…}}` of *text*, macros within macros included, and choose its lines."""

    def fill(match: re.Match[str]) -> str:
        name, argument = match[1], match[2]
        if name in names.values:
            return names.values[name]
        return _choose(_macro(name), parts).replace("$1", argument or "")

    text = _choose(text, parts)
    while _PLACE.search(text):
        text = _PLACE.sub(fill, text)
    return text


def expand_macros(text: str) -> str:
    """Fill in the macros of *text* and leave the names of the environment as they stand."""

    def fill(match: re.Match[str]) -> str:
        if match[1] in _ENVIRONMENT:
            return match[0]
        return _macro(match[1]).replace("$1", match[2] or "")

    expanded = ""
    while expanded != text:
        expanded, text = text, _PLACE.sub(fill, text)
    return text


def strip_comments(sql: str) -> str:
    """Drop whole-line comments: they are for the reader of the file."""
    return _COMMENT.sub("", sql)


@cache
def read_query(name: str, parts: frozenset[str] = frozenset()) -> str:
    """Return `queries/<name>.sql` with these parts, macros expanded, without its comments."""
    text = strip_comments((QUERY_DIR / f"{name}.sql").read_text()).strip()
    return expand(text, Names({}, is_cluster=False), parts)


@cache
def read_wire_schema(name: str) -> str:
    """Return `wire/<name>.proto` as one line, its imports put in place."""
    text = (WIRE_DIR / f"{name}.proto").read_text()

    def inline(match: re.Match[str]) -> str:
        imported = (WIRE_DIR / match[1]).read_text()
        return imported.split("package hopline.landing;", 1)[1]

    text = re.sub(r'import "([a-z_.]+)";', inline, text)
    lines = (line.split("//", 1)[0].strip() for line in text.splitlines())
    return " ".join(line for line in lines if line)


def _choose(text: str, parts: Container[str]) -> str:
    chosen = []
    for line in text.split("\n"):
        match = _WHEN.match(line)
        if match is None:
            chosen.append(line)
        elif match["part"] in parts:
            chosen.append(match["line"])
    return "\n".join(chosen)


@cache
def _macro(name: str) -> str:
    return strip_comments((MACRO_DIR / f"{name}.sql").read_text()).strip()
