"""What is said to a cluster is SQL that the engine understands, and its parts name each other."""

import json
import re
import subprocess
import sys
from xml.etree import ElementTree

from tests.golden_file import GOLDEN
from tests.packaging.tools import ROOT

FOLDER = ROOT / "deploy" / "clickhouse"
STATEMENTS = sorted((GOLDEN / "sql" / "store" / "cluster").glob("*.sql"))
# One engine lives in a process, and the test's own may have one already.
_PARSER = """
import json, sys
from clickhouse_connect import get_client
client = get_client(dsn="chdb://memory")
for name, statement in json.load(sys.stdin):
    try:
        client.query("EXPLAIN AST " + statement)
    except Exception as error:
        print(name, str(error)[:300].replace(chr(10), " "))
"""


def _complaints(statements: list[tuple[str, str]]) -> list[str]:
    """Let the engine parse the statements; return what it says of those that it does not."""
    done = subprocess.run(
        [sys.executable, "-c", _PARSER],
        input=json.dumps(statements),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def _split(text: str) -> list[str]:
    plain = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
    return [part.strip() for part in plain.split(";") if part.strip()]


def test_engine_parses_every_statement_for_a_cluster() -> None:
    """Tables, views and distributed tables of this version, as they are sent with a cluster."""
    assert len(STATEMENTS) > 40
    statements = [(path.stem, path.read_text()) for path in STATEMENTS]
    assert all("ON CLUSTER" in statement for _, statement in statements)
    assert _complaints(statements) == []


def test_engine_parses_users_and_grants() -> None:
    """Each statement of users.sql is one, and reaches all servers."""
    statements = _split((FOLDER / "users.sql").read_text())
    assert len(statements) > 15
    assert all("ON CLUSTER main" in statement for statement in statements)
    assert _complaints([(statement[:60], statement) for statement in statements]) == []


def test_a_misspelt_statement_is_found() -> None:
    """The parser is a real one: what is no statement is complained about."""
    assert len(_complaints([("wrong", "GRANT SELEKT ON hopline.* TO grafana")])) == 1


def test_grants_cover_the_system_tables_that_are_read() -> None:
    """Every system table that the store's code names is granted."""
    granted = set(re.findall(r"SELECT ON system\.(\w+)", (FOLDER / "users.sql").read_text()))
    sources = "".join(
        path.read_text()
        for path in (ROOT / "collector" / "store").rglob("*")
        if path.suffix in (".py", ".sql", ".jinja", ".j2")
    )
    named = set(re.findall(r"(?:FROM|JOIN) system\.(\w+)", sources))
    assert named
    assert named <= granted


def test_example_is_two_shards_of_two_replicas_and_three_keepers() -> None:
    """Hosts are all different, and the Keepers that servers look for are those that run."""
    cluster = ElementTree.parse(FOLDER / "cluster.xml").getroot()
    hosts = [host.text for host in cluster.iter("host")]
    shards = cluster.findall("./remote_servers/main/shard")
    assert [len(shard.findall("replica")) for shard in shards] == [2, 2]
    assert all(shard.findtext("internal_replication") == "true" for shard in shards)
    assert len(hosts) == len(set(hosts)) == 7
    keeper = ElementTree.parse(FOLDER / "keeper.xml").getroot()
    running = {(host.text, "9181") for host in keeper.iter("hostname")}
    wanted = {(n.findtext("host"), n.findtext("port")) for n in cluster.iter("node")}
    assert wanted == running
