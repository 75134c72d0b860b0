"""
Who calls whom, in the cases of Zipkin's dependency linker (zipkin2.internal.DependencyLinkerTest).

The facts of each case are Zipkin's, names and times our own: which kinds of spans there are, which
service each names as its own and as its peer, who is whose parent.
"""

from collections import Counter
from typing import Any

import pytest

from collector.query.reports.traces import edges_of
from collector.stitch.timeline import Timeline
from tests.unit.stitch.zipkin_reports import report, told

_IDS = "abcdefgh"


def spans(*given: tuple[str, str, str, str, str]) -> list[dict[str, Any]]:
    """
    Return reports of (id, parent id, kind, own service, peer), each inside the one before.

    A kind in lower case is the shared half of a span whose id it repeats.
    """
    found = []
    for number, (name, parent, kind, own, peer) in enumerate(given):
        more: dict[str, Any] = {"at": 2 * number, "took": 100 - 4 * number, "name": "op"}
        if kind:
            more["kind"] = kind.upper()
        if kind.islower():
            more["shared"] = True
        if parent:
            more["parentId"] = _id(parent)
        if own:
            more["localEndpoint"] = {"serviceName": own}
        if peer:
            more["remoteEndpoint"] = {"serviceName": peer}
        found.append(report(id=_id(name), **more))
    return found


def _id(name: str) -> str:
    return f"{_IDS.index(name) + 1:016x}"


def calls(timeline: Timeline) -> Counter[tuple[str, str]]:
    """Return the calls of a timeline with how often each was made."""
    return Counter(edges_of(timeline))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(
            [
                ("a", "", "SERVER", "web", ""),
                ("b", "a", "CLIENT", "web", "app"),
                ("b", "a", "server", "app", "web"),
                ("c", "b", "CLIENT", "app", "db"),
            ],
            {("web", "app"): 1, ("app", "db"): 1},
            id="server, client, shared server, client",
        ),
        pytest.param(
            [
                ("a", "", "SERVER", "web", ""),
                ("b", "a", "CLIENT", "web", "app"),
                ("b", "", "server", "app", "web"),
            ],
            {("web", "app"): 1},
            id="shared half that lost its parent",
        ),
        pytest.param(
            [
                ("a", "", "SERVER", "web", ""),
                ("b", "a", "CLIENT", "web", "other"),
                ("b", "a", "server", "app", ""),
            ],
            {("web", "app"): 1},
            id="the callee's own name counts, not what its caller calls it",
        ),
        pytest.param([("a", "", "CLIENT", "web", "app")], {("web", "app"): 1}, id="client alone"),
        pytest.param([("a", "", "SERVER", "app", "web")], {("web", "app"): 1}, id="server alone"),
        *(
            pytest.param([("a", "", kind, "web", "")], {}, id=f"{kind or 'no kind'} without a peer")
            for kind in ("CLIENT", "SERVER", "PRODUCER", "CONSUMER", "")
        ),
        *(
            pytest.param(
                [("a", "", kind, "web", "web")], {("web", "web"): 1}, id=f"loopback of a {kind}"
            )
            for kind in ("CLIENT", "SERVER")
        ),
        pytest.param(
            [("a", "", "SERVER", "web", ""), ("b", "a", "SERVER", "web", "")],
            {},
            id="a service below itself is no call",
        ),
        pytest.param(
            [
                ("a", "", "", "some-client", "web"),
                ("b", "a", "", "web", "app"),
                ("c", "b", "", "app", "db"),
            ],
            {("some-client", "web"): 1, ("web", "app"): 1, ("app", "db"): 1},
            id="no kind is a client's",
        ),
        pytest.param(
            [("b", "a", "SERVER", "one", ""), ("c", "a", "SERVER", "two", "")],
            {},
            id="siblings of a missing root",
        ),
        pytest.param(
            [("b", "a", "SERVER", "one", ""), ("c", "b", "SERVER", "two", "")],
            {("one", "two"): 1},
            id="parent and child below a missing root",
        ),
        pytest.param(
            [("a", "", "CLIENT", "web", ""), ("b", "a", "SERVER", "app", "")],
            {("web", "app"): 1},
            id="client and server with an id each",
        ),
        pytest.param(
            [("a", "", "SERVER", "web", ""), ("b", "a", "CLIENT", "app", "")],
            {("web", "app"): 1},
            id="a server whose span is missing",
        ),
        pytest.param(
            [("a", "", "SERVER", "web", ""), ("b", "a", "CLIENT", "app", "db")],
            {("web", "app"): 1, ("app", "db"): 1},
            id="a server whose span is missing, and its call",
        ),
        pytest.param(
            [
                ("a", "", "CLIENT", "client", ""),
                ("b", "a", "", "", ""),
                ("c", "b", "CLIENT", "server", ""),
                ("d", "b", "CLIENT", "server", ""),
            ],
            {("client", "server"): 1},
            id="calls below a span that says nothing",
        ),
        pytest.param(
            [("a", "", "PRODUCER", "producer", ""), ("b", "a", "CONSUMER", "consumer", "kafka")],
            {("kafka", "consumer"): 1},
            id="the consumer alone names the queue",
        ),
        pytest.param(
            [("a", "", "PRODUCER", "producer", "kafka"), ("b", "a", "CONSUMER", "consumer", "")],
            {("producer", "kafka"): 1},
            id="the producer alone names the queue",
        ),
        pytest.param(
            [
                ("a", "", "PRODUCER", "producer", "kafka"),
                ("b", "a", "CONSUMER", "consumer", "kafka"),
            ],
            {("producer", "kafka"): 1, ("kafka", "consumer"): 1},
            id="both name one queue",
        ),
        pytest.param(
            [
                ("a", "", "PRODUCER", "producer", "kafka1"),
                ("b", "a", "CONSUMER", "consumer", "kafka2"),
            ],
            {("producer", "kafka1"): 1, ("kafka2", "consumer"): 1},
            id="they name different queues",
        ),
        pytest.param(
            [("a", "", "PRODUCER", "producer", ""), ("b", "a", "CONSUMER", "consumer", "")],
            {},
            id="nobody names a queue",
        ),
        pytest.param(
            [("a", "", "PRODUCER", "producer", ""), ("b", "a", "SERVER", "server", "")],
            {("producer", "server"): 1},
            id="a producer that calls a server",
        ),
        pytest.param(
            [("a", "", "PRODUCER", "producer", ""), ("a", "", "server", "server", "")],
            {("producer", "server"): 1},
            id="a producer that shares its span with a server",
        ),
        pytest.param(
            [("a", "", "CLIENT", "client", ""), ("b", "a", "CONSUMER", "consumer", "")],
            {},
            id="a client above a consumer",
        ),
        pytest.param(
            [("a", "", "CONSUMER", "worker", "kafka")],
            {("kafka", "worker"): 1},
            id="consumer alone",
        ),
        pytest.param(
            [("a", "", "PRODUCER", "shop", "kafka")], {("shop", "kafka"): 1}, id="producer alone"
        ),
    ],
)
def test_calls_are_linked_as_zipkin_links_them(
    given: list[tuple[str, str, str, str, str]], expected: dict[tuple[str, str], int]
) -> None:
    """Each case of the linker has the same callers and callees here."""
    assert calls(told(spans(*given))) == expected
