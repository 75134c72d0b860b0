"""
SQL and wire schemas as text: templates (Jinja) read from their files.

`schema/` and `queries/` take expressions that they share from `macros/`. A schema file is filled in
with the names of the environment (database, engines, cluster). Values are never written into a
statement: `{name:Type}` are bound parameters. What a query does only sometimes stands between
`{% if part %}` and `{% endif %}`: the engine takes 12 ms to analyse a search in which every filter
is written out and switched off.
"""

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template, meta

from collector.settings import StoreSettings

STORE_DIR = Path(__file__).parent
SCHEMA_DIR = STORE_DIR / "schema"
QUERY_DIR = STORE_DIR / "queries"
WIRE_DIR = Path(__file__).parent.parent / "wire"
# A line without text, or with nothing but a comment: for the reader of the file.
_UNSAID = re.compile(r"^[ \t]*(?:--.*)?\n", re.MULTILINE)
# What differs between one node and a cluster.
ENVIRONMENT_NAMES = (
    "database", "cluster", "on_cluster", "local", "durable", "synced", "derived",
    "merge_tree", "aggregating_merge_tree", "replacing_merge_tree",
)  # fmt: skip
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
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
    window = (
        "replicated_deduplication_window" if is_cluster else "non_replicated_deduplication_window"
    )
    synced = "fsync_after_insert = 1, fsync_part_directory = 1"
    dropped = "ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1"
    lean = "".join(f", {name} = {value}" for name, value in LEAN.items() if name in known)
    values = {
        "database": settings.database,
        "cluster": settings.cluster,
        "on_cluster": f"ON CLUSTER {settings.cluster}" if is_cluster else "",
        "local": "_local" if is_cluster else "",
        # of what was acknowledged nothing may be lost; what is made of it can be made again
        "durable": f"{window} = {_TOKENS}, {synced}, {dropped}{lean}",
        # what is told to us outside of the journal: kept like it, and there are no loads to repeat
        "synced": f"{synced}, {dropped}{lean}",
        "derived": dropped + lean,
        **name_engines(is_replicated=is_cluster),
    }
    return Names(values, is_cluster)


def name_engines(*, is_replicated: bool) -> dict[str, str]:
    """Return the engines of tables: of one node, or of replicas."""
    replica = "'/clickhouse/tables/{shard}/{database}/{table}', '{replica}'"
    prefix, first = ("Replicated", [replica]) if is_replicated else ("", [])
    engines = {
        "merge_tree": ("MergeTree", first),
        "aggregating_merge_tree": ("AggregatingMergeTree", first),
        "replacing_merge_tree": ("ReplacingMergeTree", [*first, "revision", "is_gone"]),
    }
    return {
        name: f"{prefix}{engine}" + (f"({', '.join(arguments)})" if arguments else "")
        for name, (engine, arguments) in engines.items()
    }


def fill(text: str, values: Mapping[str, object]) -> str:
    """
    Return the template *text* with *values* filled in, without comments.

    Raises:
        jinja2.UndefinedError: it asks for a name that is not given.
    """
    return _said(_compile(_said(text)).render(values))


@cache
def _compile(text: str) -> Template:
    """A schema file is filled in several times at each start; compiling is most of that."""
    return _environment().from_string(text)


@cache
def read_query(name: str, parts: frozenset[str] = frozenset()) -> str:
    """
    Return `queries/<name>.sql` with these parts and no others.

    Raises:
        ValueError: the query has no such part.
    """
    known = find_parts(name)
    if unknown := parts - known:
        msg = f"query {name} has no part {', '.join(sorted(unknown))}"
        raise ValueError(msg)
    template = _environment().get_template(f"queries/{name}.sql")
    return _said(template.render({part: part in parts for part in known})).strip()


@cache
def find_parts(name: str) -> frozenset[str]:
    """Return the parts of `queries/<name>.sql` that are there only when they are asked for."""
    text = (QUERY_DIR / f"{name}.sql").read_text()
    return frozenset(meta.find_undeclared_variables(_environment().parse(text)))


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


@cache
def _environment() -> Environment:
    return Environment(
        loader=FunctionLoader(_load),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - SQL of our own files; values are bound parameters
        keep_trailing_newline=True,
    )


def _load(path: str) -> str:
    # without comments already: in the middle of a line a macro's own would end the statement
    return _said((STORE_DIR / path).read_text())


def _said(text: str) -> str:
    return _UNSAID.sub("", text)
