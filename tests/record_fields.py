"""
What is written from the list of a record's fields, between marks: `python -m tests.record_fields`.

The list is `collector.model.GatewayRecord`. `make golden` runs this before the golden files, for
the generated classes have to be there when they are imported.
"""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from textwrap import fill
from typing import get_args, get_type_hints

from collector.model import GatewayRecord, Stored

COLLECTOR = Path(__file__).parents[1] / "collector"
_MARKED = re.compile(
    r"^([ \t]*(?://|--|#) fields: generated[^\n]*\n)(.*?)(^[ \t]*(?://|--|#) end\n)",
    re.MULTILINE | re.DOTALL,
)
_WIRE_TYPES = {
    "String": "string",
    "LowCardinality(String)": "string",
    "Int64": "int64",
    "Bool": "bool",
    "Float64": "double",
    "Nullable(Bool)": "optional bool",
    "Nullable(Int32)": "optional int32",
    "Nullable(Int64)": "optional int64",
    "Array(LowCardinality(String))": "repeated string",
}
_PAIRS = "repeated KeyValue"
_FEW_VALUES = ("LowCardinality", "Bool", "Float64", "Nullable(Int32)", "Array(Low")
_OPTIONAL_INTS = ("Nullable(Int64)", "Nullable(Int32)")


@dataclass(frozen=True)
class RecordField:
    """One field of the list."""

    name: str
    stored: Stored
    is_optional: bool

    @property
    def wire_type(self) -> str:
        return _WIRE_TYPES.get(self.stored.type, _PAIRS)

    @property
    def has_few_values(self) -> bool:
        said = self.stored.has_few_values
        return self.stored.type.startswith(_FEW_VALUES) if said is None else said

    @property
    def codec(self) -> str:
        if self.stored.codec:
            return self.stored.codec
        return "T64, ZSTD(1)" if self.stored.type == "Nullable(Int64)" else "ZSTD(1)"

    @property
    def landing_type(self) -> str:
        """Protobuf has no maps of low cardinality: pairs land as pairs."""
        if self.stored.type.startswith("Map("):
            return "Array(Tuple(key LowCardinality(String), value String))"
        return self.stored.type

    @property
    def tag(self) -> str:
        """The tag's bytes as they stand in Python text."""
        wire_type = 2 if self.wire_type in ("string", "repeated string", _PAIRS) else 0
        number = self.stored.number << 3 | wire_type
        text = ""
        while number > 0x7F:
            text += f"\\x{number & 0x7F | 0x80:02x}"
            number >>= 7
        return text + f"\\x{number:02x}"


def list_fields() -> list[RecordField]:
    """Return the fields that are stored, in the order of the list."""
    hints = get_type_hints(GatewayRecord, include_extras=True)
    listed = []
    for each in fields(GatewayRecord):
        stored = [extra for extra in get_args(hints[each.name]) if isinstance(extra, Stored)]
        if stored:
            is_optional = each.default is not MISSING and each.default is None
            listed.append(RecordField(each.name, stored[0], is_optional))
    return listed


def _proto() -> Iterator[str]:
    for each in list_fields():
        yield f"  // {each.stored.meaning}"
        yield f"  {each.wire_type} {each.name} = {each.stored.number};"


def _columns() -> Iterator[str]:
    for each in list_fields():
        yield f"    {each.name} {each.stored.type} CODEC({each.codec}),"


def _landing() -> Iterator[str]:
    listed = list_fields()
    for each in listed:
        yield f"        {each.name} {each.landing_type}{'' if each is listed[-1] else ','}"


def _view() -> Iterator[str]:
    for each in list_fields():
        value = f"r.{each.name}"
        if each.landing_type != each.stored.type:
            value = f"CAST({value}, '{each.stored.type}')"
        yield f"    {value} AS {each.name},"


def _record_json() -> Iterator[str]:
    names = ", ".join(each.name for each in list_fields() if each.name != "raw")
    yield "toJSONString(("
    yield fill(names, 100, initial_indent="    ", subsequent_indent="    ") + "))"


def _writer() -> Iterator[str]:
    """The runs of fields of few values, and the function that writes a record around them."""
    listed = list_fields()
    runs: list[list[str]] = []
    parts: list[str] = []
    texts: list[str] = []
    is_in_run = False
    for each in listed:
        if each.has_few_values:
            if not is_in_run:
                parts.append(f"f{len(runs)}")
                runs.append([])
            runs[-1].append(each.name)
        else:
            parts.append(_written(each, texts))
        is_in_run = each.has_few_values
    yield "_RUNS = ("
    for run in runs:
        names = ", ".join(f'"{name}"' for name in run) + ("," if len(run) == 1 else "")
        line = f"    ({names}),"
        if len(line) > 100:
            line = "    (\n" + "".join(f'        "{name}",\n' for name in run) + "    ),"
        yield line
    yield ")"
    yield "_TEXTS = ("
    for name in texts:
        yield f'    "{name}",'
    yield ")"
    yield ""
    yield ""
    yield "def _write_fields(r: GatewayRecord, runs: Sequence[str], texts: Sequence[str]) -> str:"
    yield f"    {', '.join(f't{number}' for number in range(len(texts)))} = texts"
    yield f"    {', '.join(f'f{number}' for number in range(len(runs)))} = runs"
    yield "    n = _LENGTHS"
    yield "    parts = ("
    for part in parts:
        yield f"        {part},"
    yield "    )"
    yield '    return "".join(parts)'
    yield "\n"


def _written(each: RecordField, texts: list[str]) -> str:
    value, tag = f"r.{each.name}", each.tag
    if each.name == "start_ns":
        return f"_write_start({value})"
    if each.wire_type == "string":
        text = f"t{len(texts)}"
        texts.append(each.name)
        # the original row is as long as it is, everything else nearly always short
        length = f"_length({text})" if each.name == "raw" else f"n[len({text})]"
        return f'f"{tag}{{{length}}}{{{text}}}" if {text} else ""'
    if each.stored.type in _OPTIONAL_INTS:
        return f'"" if {value} is None else "{tag}" + _NUMBERS[{value}]'
    if each.stored.type == "Nullable(Bool)":
        return f'"" if {value} is None else "{tag}\\x01" if {value} else "{tag}\\x00"'
    if each.name == "ids":
        pairs = f'[_write_pair("{tag}", each.kind, each.value) for each in {value}]'
        return f'"".join({pairs}) if {value} else ""'
    if each.name == "attributes":
        return f'"".join(map(_ATTRIBUTES.__getitem__, {value}.items()))'
    raise AssertionError(f"no rule to write {each.name}: {each.stored.type}")


_WRITTEN: dict[str, Callable[[], Iterator[str]]] = {
    "wire/gateway_record.proto": _proto,
    "store/schema/0080_gateway_record.sql": _columns,
    "store/schema/0082_landing_record.sql": _landing,
    "store/schema/0083_landing_record_mv.sql": _view,
    "store/macros/record_json.sql": _record_json,
    "decode/records/writer.py": _writer,
}


def render(path: str) -> str:
    """Return the text of the file at *path* (in `collector/`) as it has to be."""
    text = (COLLECTOR / path).read_text()
    block = "\n".join(_WRITTEN[path]()) + "\n"
    rendered, count = _MARKED.subn(lambda match: match[1] + block + match[3], text)
    if count != 1:
        raise AssertionError(f"{path} has lost the marks of its generated fields")
    return rendered


def paths() -> list[str]:
    """Return the files with a part that is written from the list."""
    return list(_WRITTEN)


def write() -> None:
    """Write every generated part, and the classes of the wire schema."""
    for path in _WRITTEN:
        (COLLECTOR / path).write_text(render(path))
    wire = COLLECTOR / "wire"
    arguments = [f"-I{wire}", f"--python_out={wire}", f"--pyi_out={wire}", "gateway_record.proto"]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *arguments], check=True)


if __name__ == "__main__":
    write()
