"""Rows go when their tenant's or their API's time is over, and parts move to cold disks."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from collector.config import load_settings
from collector.errors import ConfigError
from collector.model import Id
from collector.settings import Cold, Retention
from collector.store import Store
from collector.store.disk import RECORDS
from collector.store.migrations import find_table_settings, migrate
from collector.store.rendering import build_names
from tests.stored import Loading, make_record, make_span, opened, query_rows, trace_id

_DAY = 86_400
_DATABASE = "hopline_acme"
# Without a move_factor of 0, young parts move too where the machine's disk is 90 % full.
_DISKS = """
<clickhouse><storage_configuration>
  <disks><slow><type>local</type><path>{cold}/</path></slow></disks>
  <policies><tiered><volumes>
    <default><disk>default</disk></default><cold><disk>slow</disk></cold>
  </volumes><move_factor>0</move_factor></tiered></policies>
</storage_configuration></clickhouse>
"""
_TIMES = """
[apis."it's pay"]
record_days = 400
[apis.health]
record_days = 2
[tenants.acme]
span_days = 3
[cold]
policy = "tiered"
after_days = 9
engine_config = "{disks}"
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Yield a tenant's store with the times of a file, and two disks; no time has ended in it."""
    folder = tmp_path_factory.mktemp("times")
    disks, file = folder / "disks.xml", folder / "retention.toml"
    disks.write_text(_DISKS.format(cold=folder / "cold"))
    file.write_text(_TIMES.format(disks=disks))
    settings = load_settings(
        data_dir=folder, retention=file, tenants="acme", ttl_days=7, span_ttl_days=7
    ).store("acme")
    with opened(settings) as made:
        _give(made, Retention())
        _load_days(made, folder, (0, 5, 12))
        yield made


def _give(store: Store, kept: Retention) -> None:
    """Give the tables other times than the file's."""
    with store.connections.writing() as client:
        migrate(client, build_names(store.settings, find_table_settings(client)), kept)


def _load_days(store: Store, folder: Path, days: Sequence[int]) -> None:
    """Load a record of each API, and a span, that came so many days ago."""
    load = Loading(store, folder)
    apis = ("it's pay", "health", "orders")
    for number, ago in enumerate(days):
        then_ns = (int(time.time()) - ago * _DAY) * 10**9
        records = [
            make_record(
                number * 10 + place, api=api, start_ns=then_ns, ids=(Id("request", f"{ago}-days"),)
            )
            for place, api in enumerate(apis)
        ]
        load.records(*records, received_ns=then_ns)
        span = make_span(number + 1, start_ns=then_ns, end_ns=then_ns + 1)
        load.spans(span, received_ns=then_ns)


def _count_apis(store: Store) -> Counter[str]:
    """Count the records of each API after merges have done what they do in their time."""
    with store.connections.writing() as client:
        for table in ("gateway_record", "otel_traces"):
            client.command(f"OPTIMIZE TABLE {_DATABASE}.{table} FINAL")
    return Counter(
        api for (api,) in query_rows(store, f"SELECT api FROM {_DATABASE}.gateway_record")
    )


def test_an_api_and_a_tenant_have_times_of_their_own(store: Store) -> None:
    """Shorter than the others' a row goes alone; longer it stays when they go, and is found."""
    assert _count_apis(store) == {"it's pay": 3, "orders": 3, "health": 3}
    store.migrate()
    assert _count_apis(store) == {"it's pay": 3, "orders": 2, "health": 1}
    assert query_rows(store, f"SELECT TraceId FROM {_DATABASE}.otel_traces") == [(trace_id(1),)]
    found = store.find_ids(["12-days"])
    assert make_record(20).record_id in [each.record_id for each in found]

    shares = {each.api: each for each in store.get_api_shares() if each.kind == RECORDS}
    assert {api: each.rows for api, each in shares.items()} == {"it's pay": 3, "health": 1}
    assert shares["it's pay"].ratio == 0.5


def test_times_that_are_in_force_change_nothing(store: Store) -> None:
    """A start with the same file gives the engine nothing to do."""
    sql = "SELECT count() FROM system.mutations WHERE database = {db:String}"
    store.migrate()
    before = query_rows(store, sql, db=_DATABASE)
    store.migrate()
    assert query_rows(store, sql, db=_DATABASE) == before


def test_parts_move_to_a_cold_disk_and_are_read_from_it(store: Store) -> None:
    """What is older than said lies on the other volume, what is younger does not."""
    _give(store, replace(store.settings.retention, span_days=0, cold=Cold("tiered", "cold", 3)))

    def find_disks() -> list[str]:
        sql = """
            SELECT disk_name FROM system.parts
            WHERE active AND database = {db:String} AND table = 'gateway_record' ORDER BY partition
        """
        return [str(disk) for (disk,) in query_rows(store, sql, db=_DATABASE)]

    given_up = time.monotonic() + 60  # the engine moves parts when it comes to it
    while find_disks() != ["slow", "slow", "default"]:
        assert time.monotonic() < given_up, find_disks()
        time.sleep(0.05)
    assert _count_apis(store)["it's pay"] == 3


def test_a_policy_that_is_not_there_is_named(store: Store) -> None:
    """It is a mistake in the file, and not a server that may come back."""
    for cold in (Cold("nowhere", "cold", 3), Cold("tiered", "nowhere", 3)):
        with pytest.raises(ConfigError, match="HOPLINE_RETENTION: cold: .*nowhere"):
            _give(store, replace(store.settings.retention, cold=cold))


def test_without_a_file_all_have_the_same_time_again(store: Store) -> None:
    """What was kept longer goes with the others, in whole parts."""
    _give(store, Retention(record_days=7, span_days=7))
    assert _count_apis(store) == {"it's pay": 2, "orders": 2, "health": 1}
    sql = """
        SELECT engine_full FROM system.tables
        WHERE database = {db:String} AND name = 'gateway_record'
    """
    [(engine,)] = query_rows(store, sql, db=_DATABASE)
    assert "+ toIntervalDay(7) SETTINGS" in engine
    assert "ttl_only_drop_parts = 1" in engine
