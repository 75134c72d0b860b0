"""The documents say what the code says: tables are generated from the code and compared here."""

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from pydantic import SecretStr

from collector import errors, telemetry
from collector.config import Settings
from collector.decode.gateways import find_adapters
from tests.capacity_tables import capacity_table, queueing_table

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
REFERENCE = ROOT / "deploy" / "reference.md"
CONFORMANCE = ROOT / "tests" / "contract" / "test_otlp_conformance.py"
_DOORS = {"GrpcSender": "gRPC", "HttpSender": "HTTP protobuf", "HttpJsonSender": "HTTP JSON"}
# What a test asks for by name is run over each of these; `sender` is the whole battery.
_FIXTURES = {"sender": tuple(_DOORS.values()), "http": ("HTTP protobuf", "HTTP JSON")}


def _settings_table() -> Iterator[str]:
    yield "| variable | default | meaning |"
    yield "|---|---|---|"
    for name, info in Settings.model_fields.items():
        default = info.default
        if isinstance(default, SecretStr):
            default = default.get_secret_value()
        if isinstance(default, tuple):
            default = ", ".join(default)
        shown = "empty" if default in ("", None) else f"`{default}`"
        yield f"| `HOPLINE_{name.upper()}` | {shown} | {info.description} |"


def _adapters_table() -> Iterator[str]:
    yield "| adapter | product | format reference |"
    yield "|---|---|---|"
    for adapter in find_adapters().values():
        yield f"| `{adapter.name}` | {adapter.product} | {adapter.source} |"


def _metrics_table() -> Iterator[str]:
    yield "| metric | kind | counts |"
    yield "|---|---|---|"
    for kind in (telemetry.Counter, telemetry.Gauge, telemetry.Histogram):
        label = {telemetry.Counter: "counter", telemetry.Gauge: "gauge"}.get(kind, "histogram")
        for name in get_args(kind):
            yield f"| `{name}` | {label} | {telemetry.MEANINGS[name]} |"


def _errors_table() -> Iterator[str]:
    yield "| code | HTTP | gRPC | retry | meaning |"
    yield "|---|---|---|---|---|"
    for error in _leaves(errors.CollectorError):
        meaning = (error.__doc__ or "").strip().splitlines()[0]
        retry = "yes" if error.retryable else "no"
        statuses = f"{error.http_status} | {error.grpc_status}"
        yield f"| `{error.code}` | {statuses} | {retry} | {meaning} |"


def _conformance_table() -> Iterator[str]:
    yield "| rule | duty | doors | test |"
    yield "|---|---|---|---|"
    rows = []
    for node in ast.parse(CONFORMANCE.read_text()).body:
        name = getattr(node, "name", "")
        rules = re.match(r"test((?:_o\d\d)+)_", name)
        if isinstance(node, ast.AsyncFunctionDef) and rules:
            duty = (ast.get_docstring(node) or "").splitlines()[0]
            ids = ", ".join(f"O-{number}" for number in re.findall(r"\d\d", rules[1]))
            rows.append(f"| {ids} | {duty} | {_doors(node)} | `{name}` |")
    yield from sorted(rows)


def _doors(test: ast.AsyncFunctionDef) -> str:
    """Say over which doors a test runs: by its fixtures, or by what it sends with."""
    for argument in test.args.args:
        if argument.arg in _FIXTURES:
            return ", ".join(_FIXTURES[argument.arg])
    words = {node.id for node in ast.walk(test) if isinstance(node, ast.Name)}
    doors = [door for sender, door in _DOORS.items() if sender in words]
    if "httpx" in words:
        doors.append("HTTP protobuf")
    return ", ".join(doors) or "settings and error classes"


def _leaves(error: type[errors.CollectorError]) -> Iterator[type[errors.CollectorError]]:
    children = error.__subclasses__()
    if not children:
        yield error
    for child in children:
        yield from _leaves(child)


TABLES = {
    "settings": (REFERENCE, _settings_table),
    "adapters": (README, _adapters_table),
    "metrics": (REFERENCE, _metrics_table),
    "errors": (REFERENCE, _errors_table),
    "capacity": (ROOT / "deploy" / "README.md", capacity_table),
    "queueing": (ROOT / "deploy" / "README.md", queueing_table),
    "conformance": (ROOT / "collector" / "receive" / "README.md", _conformance_table),
}


@pytest.mark.parametrize("name", TABLES)
def test_golden_table_is_what_the_code_says(name: str) -> None:
    """Each generated table of the documents equals the one made from the code."""
    document, table = TABLES[name]
    expected = "\n".join(table())
    text = document.read_text()
    pattern = re.compile(rf"(<!-- {name}: generated -->\n)((?:(?!<!-- end -->).)*)", re.DOTALL)
    found = pattern.search(text)
    assert found is not None, f"{document.name} has lost its {name} table"
    if os.environ.get("GOLDEN_WRITE"):
        document.write_text(pattern.sub(lambda m: m[1] + expected + "\n", text))
        return
    assert found[2] == expected + "\n", f"{document.name} is out of date: run `make golden`"


def test_every_duty_of_an_otlp_server_has_a_test() -> None:
    """Each row O-01 to O-29 of the specification's duties is named by a test of the battery."""
    found = {int(number) for row in _conformance_table() for number in re.findall(r"O-(\d\d)", row)}
    assert found == set(range(1, 30))


def test_every_retryable_error_maps_to_a_status_that_otlp_clients_retry() -> None:
    """OTLP clients retry 429, 502, 503 and 504 only, so retryable errors use these."""
    for error in _leaves(errors.CollectorError):
        if error.retryable:
            assert error.http_status in (429, 502, 503, 504), error


def test_paths_named_in_the_readme_exist() -> None:
    """A path in backticks in README.md that looks like one of ours is there."""
    for path in re.findall(
        r"`((?:collector|tests|deploy|dashboards)/[\w./-]+)`", README.read_text()
    ):
        assert (ROOT / path).exists(), path


def test_commands_named_in_the_readme_exist() -> None:
    """Each `make` target that README.md names is in the Makefile."""
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"`(?:[A-Z_]+=\S+ )?make ([a-z-]+)", README.read_text())):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_what_hopline_works_with_is_backed_by_tests() -> None:
    """Each row of the table names a version, and a test that is there."""
    text = (ROOT / "deploy" / "README.md").read_text()
    rows = re.findall(r"^\| (?!client|---)(.+?) \| (.+?) \| (.+?) \| `(tests/\S+)` \|$", text, re.M)
    assert len(rows) >= 10
    for client, version, how, test in rows:
        assert (ROOT / test).is_file(), (client, test)
        assert version and how, client
