"""
Which statements may run: those whose whole syntax tree is on the list.

The engine's own parser makes the tree, and the text that it wrote back is the one that runs: there
is no second parser to deceive. What is not known here by its kind, its name and its place is
refused; new kinds of the next engine are refused with it.

Source: `EXPLAIN AST` of ClickHouse 26.9.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

from collector.api.clickhouse.limits import check_format
from collector.store.sql import PUBLIC_TABLES, SYSTEM_TABLES, SqlFailure, SqlReader

_DENIED = 497
_LINE = re.compile(
    r"(?P<indent> *)(?P<kind>[A-Z][A-Za-z]*(?:::[A-Za-z]+)?)(?: (?P<detail>.*?))??"
    r"(?: \(alias (?P<alias>.*?)\))?(?: \(children (?P<children>\d+)\))?"
)
_NAME = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)?", re.ASCII)
_STRING = r"'(?:[^'\\]|\\.)*'"
_IDENTIFIER = r"(?:\w+|`\w+`)"
_LIKE = rf"(?: (?:NOT )?I?LIKE {_STRING})?(?: LIMIT \d+)?"
_SHOWN = {
    "databases": re.compile(rf"SHOW DATABASES{_LIKE}"),
    "tables": re.compile(rf"SHOW (?:FULL )?TABLES(?: FROM (?P<database>{_IDENTIFIER}))?{_LIKE}"),
    "columns": re.compile(
        rf"SHOW (?:EXTENDED )?(?:FULL )?COLUMNS FROM (?P<table>{_IDENTIFIER})"
        rf"(?: FROM (?P<database>{_IDENTIFIER}))?{_LIKE}"
    ),
    "functions": re.compile(rf"SHOW FUNCTIONS{_LIKE}"),
    "definition": re.compile(
        rf"(?:SHOW CREATE (?:TABLE|VIEW)|EXISTS (?:TABLE|VIEW)) "
        rf"(?:(?P<database>{_IDENTIFIER})\.)?(?P<table>{_IDENTIFIER})"
    ),
}
_SETTING = rf"\w+ = (?:-?[\d.]+|true|false|{_STRING})"
_SETTINGS = re.compile(rf" SETTINGS ({_SETTING}(?:, {_SETTING})*)$")
_FORMAT = re.compile(
    rf" FORMAT (?P<format>\w+)(?P<settings> SETTINGS {_SETTING}(?:, {_SETTING})*)?$", re.ASCII
)
_SETTINGS_WORD = re.compile(r"\bSETTINGS\b")
_QUOTED = re.compile(rf"{_STRING}|`(?:[^`\\]|\\.)*`", re.DOTALL)
_KINDS = frozenset({
    "ArrayJoin", "Asterisk", "ColumnsExceptTransformer", "ColumnsListMatcher",
    "ColumnsRegexpMatcher", "ColumnsReplaceTransformer", "ColumnsReplaceTransformer::Replacement",
    "ColumnsTransformerList", "ExpressionList", "Function", "Identifier", "InterpolateElement",
    "Literal", "OrderByElement", "QualifiedAsterisk",
    "QualifiedColumnsListMatcher", "QualifiedColumnsRegexpMatcher", "SampleRatio",
    "SelectIntersectExceptQuery", "SelectQuery", "SelectWithUnionQuery", "Subquery",
    "TableExpression", "TableIdentifier", "TableJoin", "TablesInSelectQuery",
    "TablesInSelectQueryElement", "WindowDefinition", "WindowListElement", "WithElement",
})  # fmt: skip
_TABLE_FUNCTIONS = frozenset({
    "generate_series", "generateseries", "null", "numbers", "numbers_mt", "values", "zeros",
})  # fmt: skip
_COMBINATORS = (
    "simplestate", "ordefault", "distinct", "resample", "foreach", "argmax", "argmin", "ornull",
    "merge", "state", "array", "null", "map", "if",
)  # fmt: skip
# The type that these make is a text of theirs, the last argument.
_TYPED = frozenset({
    "cast", "_cast", "accuratecast", "accuratecastornull", "jsonextract",
    "jsonextractcaseinsensitive", "jsonextractkeysandvalues",
    "jsonextractkeysandvaluescaseinsensitive",
})  # fmt: skip
_IN = frozenset(
    (("global" if far else "") + name).lower()
    for far in (False, True)
    for name in ("in", "notIn", "nullIn", "notNullIn")
)
# Bytes of a user's own as the inner state of a function: its code trusts them. The engine reads a
# type as it reads SQL: with quoted names, escapes and comments, in which the word could hide.
_STATE = re.compile(r"aggregatefunction", re.IGNORECASE)
_HIDING = re.compile(r"[`\"\\#]|--|/\*")
# Where on the machine the data lies.
_PATHS = frozenset({"data_path", "data_paths", "metadata_path"})
_PATH_TABLES = frozenset({"system.databases", "system.tables"})
_STARS = frozenset({
    "Asterisk", "ColumnsRegexpMatcher", "QualifiedAsterisk", "QualifiedColumnsRegexpMatcher",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Judged:
    """A statement that may run, without the format and the settings that it asked for."""

    text: str
    output_format: str = ""
    settings: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Node:
    kind: str
    detail: str
    parent: "_Node | None"
    children: "list[_Node]" = field(default_factory=list)

    def walk(self) -> "Iterator[_Node]":
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(node.children)


def judge(sql: str, parameters: Mapping[str, str], reader: SqlReader) -> Judged:
    """
    Return a statement if it may run.

    Raises:
        SqlFailure: it may not; the text says what is not allowed.
    """
    text, output_format = _cut_format(reader.normalise(sql, parameters))
    if text.startswith(("SHOW ", "EXISTS ")):
        _check_shown(text, reader)
        return Judged(text, output_format)
    if not text.startswith(("SELECT ", "WITH ", "DESCRIBE TABLE ")):
        raise SqlFailure(_DENIED, "Only SELECT, DESCRIBE, EXISTS and some of SHOW are allowed")
    text, settings = _cut_settings(text)
    root = _read_tree(reader.explain(text))
    if root.kind not in ("SelectWithUnionQuery", "DescribeQuery") or len(root.children) != 1:
        raise SqlFailure(_DENIED, "INTO OUTFILE and its like are not allowed")
    for node in root.children[0].walk():
        _check(node, reader)
    _check_paths(root)
    return Judged(text, output_format, settings)


def _read_tree(lines: Sequence[str]) -> _Node:
    """Read the tree; each node has the number of children that it says, or it is not understood."""
    top = _Node("", "", None)
    above: list[tuple[_Node, int]] = [(top, 1)]
    for line in lines:
        found = _LINE.fullmatch(line)
        if found is None:
            raise SqlFailure(_DENIED, "A name has characters that are not allowed here")
        depth = len(found["indent"])
        if depth > len(above) - 1:
            raise SqlFailure(_DENIED, "The statement is not understood")
        for parent, expected in above[depth + 1 :]:
            if len(parent.children) != expected:
                raise SqlFailure(_DENIED, "The statement is not understood")
        del above[depth + 1 :]
        node = _Node(found["kind"], (found["detail"] or "").strip(), above[depth][0])
        above[depth][0].children.append(node)
        above.append((node, int(found["children"] or 0)))
    if any(len(parent.children) != expected for parent, expected in above):
        raise SqlFailure(_DENIED, "The statement is not understood")
    return top.children[0]


def _cut_format(text: str) -> tuple[str, str]:
    found = _FORMAT.search(text)
    if found is None:
        return text, ""
    check_format(found["format"])
    return text[: found.start()] + (found["settings"] or ""), found["format"]


def _cut_settings(text: str) -> tuple[str, dict[str, str]]:
    """Take the settings off the end of a statement; elsewhere they may not stand."""
    settings: dict[str, str] = {}
    found = _SETTINGS.search(text)
    if found is not None:
        pairs = re.findall(rf"(\w+) = ({_STRING}|[^,]+)", found[1])
        settings = {name: re.sub(r"\\(.)", r"\1", value.strip("'")) for name, value in pairs}
        text = text[: found.start()]
    if _SETTINGS_WORD.search(_QUOTED.sub("", text)):
        raise SqlFailure(_DENIED, "Settings may only stand once, at the end of a statement")
    return text, settings


def _check(node: _Node, reader: SqlReader) -> None:
    if node.kind not in _KINDS:
        raise SqlFailure(_DENIED, f"{node.kind} is not allowed in a statement")
    if node.kind == "Function":
        _check_function(node, reader)
    elif node.kind == "TableIdentifier":
        _check_table(node.detail, reader)


def _check_function(node: _Node, reader: SqlReader) -> None:
    name = node.detail.lower()
    if node.parent is not None and node.parent.kind == "TableExpression":
        if name not in _TABLE_FUNCTIONS:
            raise SqlFailure(_DENIED, f"The table function {node.detail} is not allowed")
        return
    if not is_function_allowed(name):
        raise SqlFailure(_DENIED, f"The function {node.detail} is not allowed")
    arguments = node.children[0].children if node.children else []
    if name in _TYPED:
        if not arguments or arguments[-1].kind != "Literal":
            raise SqlFailure(_DENIED, f"The type that {node.detail} makes must be written out")
        _check_type(arguments[-1].detail)
    if name in _IN and len(arguments) == 2 and arguments[1].kind == "Identifier":
        # a table, unless it is a column
        _check_table(arguments[1].detail, reader)


def _check_type(literal: str) -> None:
    # the quotes around texts in a type, such as a time zone, are escaped in the tree's literal
    if _STATE.search(literal):
        raise SqlFailure(_DENIED, "States of aggregate functions cannot be made from values")
    if _HIDING.search(literal.replace("\\'", "")):
        raise SqlFailure(_DENIED, "A type must be written without quoted names and comments")


def _check_table(name: str, reader: SqlReader) -> None:
    if not _NAME.fullmatch(name):
        raise SqlFailure(60, f"There is no table {name}")
    database, dot, table = name.rpartition(".")
    if not dot:
        # else it is a column, or what WITH named, or not there at all
        if table in reader.hidden:
            raise SqlFailure(60, f"The table {table} is Hopline's own: see SHOW TABLES")
    elif database == "system":
        if table not in SYSTEM_TABLES:
            raise SqlFailure(60, f"The table {name} is not shown here")
    elif database != reader.database:
        raise SqlFailure(81, f"The database {database} is not shown here")
    elif table not in PUBLIC_TABLES:
        raise SqlFailure(60, f"There is no table {name} to query: see SHOW TABLES")


def _check_paths(root: _Node) -> None:
    nodes = list(root.walk())
    if not any(node.kind == "TableIdentifier" and node.detail in _PATH_TABLES for node in nodes):
        return
    for node in nodes:
        is_path = node.kind == "Identifier" and node.detail.rpartition(".")[2] in _PATHS
        is_counted = (
            node.parent is not None
            and node.parent.parent is not None
            and (node.parent.parent.detail.lower() == "count")
        )
        if is_path or (node.kind in _STARS and not is_counted):
            raise SqlFailure(_DENIED, "Name the columns, without the paths of files")


def _check_shown(text: str, reader: SqlReader) -> None:
    for pattern in _SHOWN.values():
        found = pattern.fullmatch(text)
        if found is None:
            continue
        parts = {key: value.strip("`") for key, value in found.groupdict().items() if value}
        if "table" in parts:
            _check_table(".".join(filter(None, (parts.get("database"), parts["table"]))), reader)
        elif parts.get("database", "system") not in ("system", reader.database):
            raise SqlFailure(81, f"The database {parts['database']} is not shown here")
        return
    raise SqlFailure(_DENIED, "Of SHOW only databases, tables, columns and functions are allowed")


def is_function_allowed(name: str) -> bool:
    """Tell whether a function is on the list, with any combinators."""
    name = name.lower()
    return name in _functions() or any(
        name.endswith(each) and is_function_allowed(name.removesuffix(each))
        for each in _COMBINATORS
    )


@cache
def _functions() -> frozenset[str]:
    text = (files(__package__) / "functions.txt").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return frozenset(" ".join(lines).lower().split())
