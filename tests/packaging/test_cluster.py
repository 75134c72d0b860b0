"""What is said to a cluster is SQL that the engine understands, and its parts name each other."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from collector.config import load_settings
from collector.settings import Cold, Retention
from collector.store.lifetimes import find_changes
from collector.store.migrations import find_migrations
from collector.store.rendering import build_names
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
_POLICIES = """
import chdb, sys
print(chdb.connect(sys.argv[1]).query(
    "SELECT volume_name, disk, if(d.type = 'Local', d.type, d.object_storage_type) "
    "FROM system.storage_policies ARRAY JOIN disks AS disk "
    "JOIN system.disks AS d ON d.name = disk "
    "WHERE policy_name = 'tiered' ORDER BY volume_priority"))
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


def test_engine_parses_what_times_and_cold_disks_change() -> None:
    """Tables of a cluster take over times of APIs and a storage policy, each on all nodes."""
    settings = load_settings(clickhouse_url="http://db", clickhouse_cluster="main").store()
    kept = Retention(90, 7, 90, True, (("it's", 400),), (("it's", 9),), Cold("tiered", "cold", 3))
    lifetimes = [each.lifetime for each in find_migrations() if each.lifetime]
    tables = dict.fromkeys((f"{each.table}_local" for each in lifetimes), "MergeTree")
    changes = list(find_changes(build_names(settings), lifetimes, kept, tables))
    assert len(changes) == 3 * len(lifetimes)
    assert all("_local ON CLUSTER main MODIFY" in statement for statement, _ in changes)
    assert sum("apis" in given for _, given in changes) == 5
    given = [text.replace("{apis:Array(String)}", "['it\\'s']") for text, _ in changes]
    assert _complaints([(text, text) for text in given]) == []


def test_engine_takes_the_example_of_cold_disks(tmp_path: Path) -> None:
    """The policy begins as the one that tables have, and its second volume is on S3."""
    text = (FOLDER / "cold.xml").read_text().replace("/var/lib/clickhouse", str(tmp_path))
    # nobody answers there: only the first use of a disk would ask
    text = text.replace(
        "<type>s3</type>", "<type>s3</type><skip_access_check>1</skip_access_check>"
    )
    (tmp_path / "cold.xml").write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", _POLICIES, f"{tmp_path}/db?config-file={tmp_path}/cold.xml"],
        capture_output=True,
        text=True,
        check=True,
        env={
            **os.environ,
            "CLICKHOUSE_COLD_ENDPOINT": "http://127.0.0.1:9/bucket/hopline/",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
        },
    )
    assert [line.split(",") for line in done.stdout.replace('"', "").split()] == [
        ["default", "default", "Local"],
        ["cold", "cold_cached", "S3"],
    ]


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
