"""
The search against a plain reading of its contract, on requests drawn at random.

Records come in several versions and traces in several segments, in any order; some join by trace
id, some by request id, some not at all. Every filter, both orders, every page size give the rows
that a loop over the drawn requests gives.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from collector.model import GatewayRecord, Id, Span
from collector.store import RequestFilter, RequestRow, Store
from tests.stored import (
    NOW_NS,
    NS,
    Loading,
    make_record,
    make_span,
    opened,
    span_id,
    store_settings,
    trace_id,
)

COUNT = 120
RANGE = RequestFilter(start_ns=NOW_NS - 7200 * NS, end_ns=NOW_NS + 600 * NS)
APIS = ("orders", "stock")
SERVICES = ("cart", "mail", "pay")
STATUSES = (200, 204, 404, 500, 503)


# What comes in one segment: no two versions of a record, and the later ones not always later.
Rounds = dict[tuple[int, int], list[GatewayRecord]]


@dataclass
class Drawn:
    """One request: the newest version of its record, and its trace's edge and services."""

    record: GatewayRecord | None = None
    edge: Span | None = None
    services: set[str] = field(default_factory=set)
    is_joined: bool = False


def _draw(random_: random.Random, load: Loading) -> list[Drawn]:
    drawn = []
    segments: list[list[Span]] = [[] for _ in range(4)]
    rounds: Rounds = {}
    for number in range(COUNT):
        request = Drawn()
        start_ns = NOW_NS - random_.randrange(7000) * NS + number
        kind = random_.choice(["both", "by request id", "record", "trace", "apart"])
        if kind != "trace":
            request.record = _draw_record(random_, rounds, number, start_ns, kind)
        if kind != "record":
            spans = _draw_spans(random_, number, start_ns + 3_000_000)
            for span in spans:
                random_.choice(segments).append(span)
            request.edge = spans[0]
            request.services = {span.service for span in spans}
        request.is_joined = kind in ("both", "by request id")
        if kind == "apart":  # a record and a trace that have nothing to do with each other
            drawn.append(Drawn(edge=request.edge, services=request.services))
            request = Drawn(record=request.record)
        drawn.append(request)
    for spans in segments:
        load.spans(*spans)
    for (_, version), records in sorted(rounds.items(), key=lambda each: each[0]):
        load.records(*records, received_ns=NOW_NS + version)
    return drawn


def _draw_record(
    random_: random.Random, rounds: Rounds, number: int, start_ns: int, kind: str
) -> GatewayRecord:
    ids = (Id("x_request_id", f"request-{number}"),) if kind == "by request id" else ()
    versions = []
    for version in range(random_.choice([1, 1, 1, 2, 3])):
        record = make_record(
            number,
            start_ns=start_ns - version * NS * random_.choice([0, 1]),
            trace_id=trace_id(number) if kind == "both" else "",
            ids=ids,
            duration_ns=random_.choice([None, 0, 5_000_000, random_.randrange(10**9)]),
            status=random_.choice([None, *STATUSES]),
            is_error=random_.random() < 0.3,
            api=random_.choice(APIS),
            operation=random_.choice(["get", "put"]),
            method=random_.choice(["GET", "POST"]),
            host=random_.choice(["api.test", "www.test"]),
            consumer=random_.choice(["", "acme"]),
            api_revision=random_.choice(["1", "2"]),
            path=random_.choice(["/a/Needle/b", "/c"]),
        )
        versions.append(record)
    order = random_.sample(range(len(versions)), len(versions))
    for round_, version in enumerate(order):
        rounds.setdefault((round_, version), []).append(versions[version])
    return versions[-1]


def _draw_spans(random_: random.Random, number: int, start_ns: int) -> list[Span]:
    edge = make_span(
        number * 10,
        trace=number,
        start_ns=start_ns,
        end_ns=start_ns + random_.choice([0, 5_000_000, random_.randrange(10**9)]),
        service=random_.choice(SERVICES),
        status=random_.choice(["Unset", "Error"]),
        name=random_.choice(["needle in a name", "other"]),
        attributes={
            "http.method": random_.choice(["GET", "POST"]),
            "http.url": f"http://{random_.choice(['api.test', 'mesh.test'])}/c?x=1",
            "http.status_code": str(random_.choice(STATUSES)),
            "guid:x-request-id": f"REQUEST-{number}",
        },
    )
    inner = [
        make_span(
            number * 10 + place,
            trace=number,
            parent_span_id=span_id(number * 10),
            start_ns=start_ns + random_.choice([-1, 1]) * place * 1_000_000,
            service=random_.choice(SERVICES),
        )
        for place in range(1, random_.randrange(2, 5))
    ]
    return [edge, *inner]


def _draw_filter(random_: random.Random) -> RequestFilter:
    choices: dict[str, list[Any]] = {
        "start_ns": [NOW_NS - 3000 * NS],
        "end_ns": [NOW_NS - 3000 * NS],
        "gateway": ["azure-apim", "kong"],
        "api": list(APIS),
        "operation": ["get"],
        "method": ["GET"],
        "host": ["api.test", "mesh.test"],
        "status": [200, 503],
        "status_class": [2, 4, 5],
        "is_error": [True, False],
        "service": list(SERVICES),
        "consumer": ["acme"],
        "revision": ["2"],
        "min_duration_ns": [0, 5_000_000, 300_000_000],
        "max_duration_ns": [5_000_000, 300_000_000],
        "is_joined": [True, False],
        "text": ["NEEDLE", "needle in", "/c", "absent"],
    }
    picked = random_.sample(sorted(choices), random_.choice([0, 1, 1, 1, 2, 2, 3]))
    values = {name: random_.choice(choices[name]) for name in picked}
    return replace(RANGE, order=random_.choice(["-duration", "-start"]), **values)


def _expect(drawn: list[Drawn], wanted: RequestFilter) -> list[tuple[str, str]]:
    places = []
    for each in drawn:
        joined = wanted.is_joined in (None, each.is_joined)
        serves = not wanted.service or wanted.service in each.services
        if not (joined and serves):
            continue
        if each.record and _record_fits(each.record, wanted):
            record = each.record
            duration = -1 if record.duration_ns is None else record.duration_ns
            value = record.start_ns if wanted.order == "-start" else duration
            places.append((value, record.start_ns, record.gateway, record.record_id))
        elif each.record is None and each.edge and _edge_fits(each.edge, wanted):
            edge = each.edge
            value = edge.start_ns if wanted.order == "-start" else edge.end_ns - edge.start_ns
            places.append((value, edge.start_ns, "", edge.trace_id))
    return [(gateway, id_) for _, _, gateway, id_ in sorted(places, reverse=True)]


def _record_fits(record: GatewayRecord, wanted: RequestFilter) -> bool:
    duration = record.duration_ns
    least, most = wanted.min_duration_ns, wanted.max_duration_ns
    texts = (record.path, record.route, record.operation, record.api)
    return (
        wanted.start_ns <= record.start_ns < wanted.end_ns
        and wanted.gateway in ("", record.gateway)
        and wanted.api in ("", record.api)
        and wanted.operation in ("", record.operation)
        and wanted.method in ("", record.method)
        and wanted.host in ("", record.host)
        and wanted.consumer in ("", record.consumer)
        and wanted.revision in ("", record.api_revision)
        and wanted.status in (None, record.status)
        and wanted.status_class in (None, (record.status or 0) // 100)
        and wanted.is_error in (None, record.is_error)
        and (least is None or (duration is not None and duration >= least))
        and (most is None or (duration is not None and duration <= most))
        and any(wanted.text.lower() in text.lower() for text in texts)
    )


def _edge_fits(edge: Span, wanted: RequestFilter) -> bool:
    if wanted.gateway or wanted.api or wanted.operation or wanted.consumer or wanted.revision:
        return False
    duration = edge.end_ns - edge.start_ns
    status = int(edge.attributes["http.status_code"])
    host = edge.attributes["http.url"].split("/")[2]
    return (
        wanted.start_ns <= edge.start_ns < wanted.end_ns
        and wanted.method in ("", edge.attributes["http.method"])
        and wanted.host in ("", host)
        and wanted.status in (None, status)
        and wanted.status_class in (None, status // 100)
        and wanted.is_error in (None, edge.status == "Error" or status >= 500)
        and (wanted.min_duration_ns is None or duration >= wanted.min_duration_ns)
        and (wanted.max_duration_ns is None or duration <= wanted.max_duration_ns)
        and any(wanted.text.lower() in text.lower() for text in ("/c", edge.name))
    )


def _read_all(store: Store, wanted: RequestFilter, page: int) -> list[RequestRow]:
    rows: list[RequestRow] = []
    cursor = ""
    while True:
        found = store.find_requests(wanted, page, cursor)
        rows += found
        if len(found) < page:
            return rows
        cursor = found[-1].cursor


@pytest.fixture(scope="module", params=[1, 2])
def drawn(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Store, list[Drawn]]]:
    """Yield a store and the requests drawn into it."""
    folder: Path = tmp_path_factory.mktemp("search")
    with opened(store_settings(folder)) as store:
        yield store, _draw(random.Random(request.param), Loading(store, folder))


@pytest.mark.parametrize("seed", range(12))
def test_search_gives_what_its_contract_says(seed: int, drawn: tuple[Store, list[Drawn]]) -> None:
    """Any filter in any order gives the rows, and the order, that a plain loop gives."""
    store, requests = drawn
    random_ = random.Random(seed)
    for _ in range(3):
        wanted = _draw_filter(random_)
        rows = _read_all(store, wanted, random_.choice([17, 40, 500]))
        found = [(row.gateway, row.record_id or row.trace_id) for row in rows]
        assert found == _expect(requests, wanted), wanted
        joined = {each.record.record_id: each.is_joined for each in requests if each.record}
        for row in rows:
            assert row.is_joined == joined.get(row.record_id, False)
