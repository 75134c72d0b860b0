"""What is sent to Azure, and what is shipped for it, holds against Microsoft's published parts."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from pycep import BicepParser

from collector.pull.tables import INGESTED_AT, ROW, TABLES
from tests.packaging.tools import ROOT, fetched, need, run

SERVICE = "@kusto/language-service-next@12.4.1"
BINDER = Path(__file__).parent / "kusto" / "bind.js"
DOCUMENTED = json.loads((ROOT / "tests/fixtures/azure/tables.json").read_text())["tables"]
GATEWAYS = ROOT / "deploy" / "gateways"
START_NS, END_NS = 1_790_000_000_000_000_000, 1_790_000_060_123_456_700
# Source: learn.microsoft.com/azure/azure-monitor/logs/basic-logs-query (one table, no functions of
# one's own, no time range in a where).
NOT_IN_A_SEARCH = r"\b(join|find|search|externaldata|union|lookup|let|workspace|resource)\b"
# Policies that ours use, with the attributes that have to be there and the elements they stand in.
# Source: learn.microsoft.com/azure/api-management/api-management-policies (reference).
POLICIES: dict[str, tuple[set[str], set[str]]] = {
    "policies": (set(), set()),
    "fragment": (set(), set()),
    "inbound": (set(), {"policies"}),
    "backend": (set(), {"policies"}),
    "outbound": (set(), {"policies"}),
    "on-error": (set(), {"policies"}),
    "base": (set(), {"inbound", "backend", "outbound", "on-error"}),
    "include-fragment": ({"fragment-id"}, {"inbound", "outbound", "on-error", "backend"}),
    "set-variable": ({"name", "value"}, {"fragment"}),
    "set-header": ({"name", "exists-action"}, {"fragment"}),
    "value": (set(), {"set-header"}),
    "log-to-eventhub": ({"logger-id"}, {"fragment"}),
}
_TABLE_NAMES = sorted(TABLES)


@pytest.fixture(scope="session")
def kusto() -> Path:
    """The folder with Microsoft's language service, installed by npm once and kept."""
    npm = need("npm", "it installs Microsoft's Kusto language service")
    need("node", "it runs Microsoft's Kusto language service")

    def install(folder: Path) -> None:
        run([npm, "install", "--no-audit", "--no-fund", "--prefix", folder, SERVICE], cwd=folder)

    return fetched("kusto", SERVICE, install, "from npm")


def _bind(kusto: Path, queries: list[str]) -> list[dict[str, list[str]]]:
    done = subprocess.run(
        ["node", BINDER, kusto],
        input=json.dumps({"tables": DOCUMENTED, "queries": queries}),
        capture_output=True,
        text=True,
        check=True,
    )
    answers: list[dict[str, list[str]]] = json.loads(done.stdout)
    return answers


def test_every_polled_table_has_documented_columns() -> None:
    """The fixture names the tables that the poller knows, no more and no fewer."""
    assert set(DOCUMENTED) == set(TABLES)


def test_every_query_binds_to_the_documented_columns(kusto: Path) -> None:
    """Whatever the poller can send parses, and gives the two columns that it reads."""
    queries = [
        text
        for name in _TABLE_NAMES
        for limit in (None, 2500)
        for text in (
            TABLES[name].query(START_NS, END_NS, limit),
            TABLES[name].search_query(START_NS, END_NS, limit),
        )
    ]
    for text, answer in zip(queries, _bind(kusto, queries), strict=True):
        assert answer["diagnostics"] == [], text
        assert answer["columns"] == [f"{INGESTED_AT}: string", f"{ROW}: dynamic"], text


def test_binder_finds_what_is_wrong(kusto: Path) -> None:
    """A column that no table has, and a word that is no operator, are complained about."""
    wrong = ["ApiManagementGatewayLogs | where Nonsense == 1", "AGCAccessLogs | wear TimeTaken > 1"]
    assert all(answer["diagnostics"] for answer in _bind(kusto, wrong))


@pytest.mark.parametrize("name", _TABLE_NAMES)
def test_search_keeps_to_its_part_of_the_language(name: str) -> None:
    """A query for a table on the Basic plan names one table and no time range."""
    text = TABLES[name].search_query(START_NS, END_NS, 10)
    operators = re.sub(r'"[^"]*"', "", text)
    assert not re.search(NOT_IN_A_SEARCH, operators)
    assert "where TimeGenerated" not in text


@pytest.mark.parametrize("path", sorted(GATEWAYS.rglob("*.bicep")), ids=lambda p: p.parent.name)
def test_bicep_parses_and_every_name_is_declared(path: Path) -> None:
    """A real parser reads it; parents and scopes are resources of the same file."""
    parsed = BicepParser().parse(text=path.read_text())
    resources = parsed["resources"]
    assert resources
    for name, resource in resources.items():
        assert re.fullmatch(r"\d{4}-\d\d-\d\d(-preview)?", resource["api_version"]), name
        for key in ("parent", "scope"):
            if key in resource["config"]:
                assert resource["config"][key] in resources, f"{name}.{key}"


def test_diagnostics_of_api_management_say_what_the_join_needs() -> None:
    """Resource-specific mode, headers of both legs, and W3C are values of the parsed file."""
    parsed = BicepParser().parse(text=(GATEWAYS / "azure-apim" / "main.bicep").read_text())
    resources: dict[str, Any] = parsed["resources"]
    logs = resources["logs"]["config"]["properties"]
    assert logs["logAnalyticsDestinationType"] == "Dedicated"
    monitor = resources["azureMonitor"]["config"]["properties"]
    assert monitor["frontend"]["request"]["headers"] == "requestHeaders"
    assert monitor["backend"]["request"]["headers"] == "requestHeaders"
    insights = resources["appInsights"]["config"]
    assert "'W3C'" in str(insights) or "W3C" in str(insights)


@pytest.mark.parametrize(
    "path", sorted((GATEWAYS / "azure-apim").glob("*.xml")), ids=lambda path: path.name
)
def test_policies_have_the_documented_shape(path: Path) -> None:
    """Every element is a policy, stands where it may, and has the attributes that it needs."""
    root = ElementTree.parse(path).getroot()
    parents = {child: parent for parent in root.iter() for child in parent}
    for element in root.iter():
        needed, inside = POLICIES[element.tag]
        assert needed <= set(element.attrib), element.tag
        if element is not root:
            assert parents[element].tag in inside, element.tag
        for value in (*element.attrib.values(), element.text or ""):
            if value.strip().startswith(("@{", "@(")):
                assert _is_balanced(value), value[:80]


def _is_balanced(expression: str) -> bool:
    """Tell whether brackets outside of texts close in the order in which they open."""
    closing = {")": "(", "}": "{", "]": "["}
    opened: list[str] = []
    for character in re.sub(r'"(?:\\.|[^"\\])*"', "", expression):
        if character in closing.values():
            opened.append(character)
        elif character in closing and (not opened or opened.pop() != closing[character]):
            return False
    return not opened


@pytest.mark.parametrize("path", sorted(GATEWAYS.rglob("*.bicep")), ids=lambda p: p.parent.name)
def test_fragments_that_bicep_loads_exist(path: Path) -> None:
    """Files that a template takes in lie beside it."""
    for name in re.findall(r"loadTextContent\('([^']+)'\)", path.read_text()):
        assert (path.parent / name).is_file(), name
