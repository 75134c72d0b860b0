"""Records and edge spans, told apart by whether an id joins them; what is learned of those."""

from dataclasses import replace

from collector.query.learned.likely_partners import learn_stretch, match_by_ids
from collector.store import Edge
from tests.stories import MS, NOW, SECOND, make_record, number_id


def edge(number: int, **given: object) -> Edge:
    """Return the edge span of a request; what is not given is an ordinary 200."""
    values: dict[str, object] = {
        "trace_id": number_id(number),
        "span_id": number_id(number, 16),
        "service": "edge",
        "host": "mesh.shop.example",
        "method": "GET",
        "status": 200,
        "start_ns": NOW + number * SECOND + 4 * MS,
        "duration_ns": (90 + number * 37 % 50) * MS,
        "request_key": "",
    }
    return Edge(**{**values, **given})  # type: ignore[arg-type]  # checked by the tests


def test_a_trace_id_pairs() -> None:
    """A record that names the trace of an edge span is its partner; nothing is left over."""
    record = make_record(1, NOW, trace_id=number_id(1))
    matched = match_by_ids([record], [edge(1)], set())
    assert [(r.key, s.key) for r, s in matched.pairs] == [
        (f"azure-apim/{record.record_id}", f"{number_id(1)}/{number_id(1, 16)}")
    ]
    assert (matched.lonely_records, matched.lonely_edges) == ([], [])
    assert matched.services == ("edge",)


def test_a_request_id_pairs() -> None:
    """A record's own id that comes back as the edge's request id joins them too."""
    record = make_record(1, NOW)
    digits = record.record_id.replace("-", "")
    key = f"{digits[:12]}*{digits[13:]}"
    matched = match_by_ids([record], [edge(1, request_key=key)], set())
    assert len(matched.pairs) == 1


def test_an_id_of_several_records_decides_nothing() -> None:
    """Two records of one trace teach nothing, and their trace is no candidate for others."""
    records = [make_record(n, NOW, trace_id=number_id(1)) for n in (1, 2)]
    matched = match_by_ids(records, [edge(1)], set())
    assert matched.pairs == []
    assert matched.lonely_records == []
    assert matched.lonely_edges == []


def test_claimed_traces_are_no_candidates() -> None:
    """A trace that a record of another time or API names is left alone."""
    matched = match_by_ids([make_record(1, NOW)], [edge(2), edge(3)], {number_id(2)})
    assert [e.trace_id for e in matched.lonely_edges] == [number_id(3)]
    assert len(matched.lonely_records) == 1


def test_a_record_that_called_nobody_takes_no_part() -> None:
    """What the gateway answered itself has no partner to look for."""
    matched = match_by_ids([make_record(1, NOW, backend_ns=None)], [edge(1)], set())
    assert matched.lonely_records == []


def test_what_is_learned_is_measured() -> None:
    """Of a hundred pairs and ten hidden ones the audit is of the pairs, the joins of the hidden."""
    records, edges = [], []
    for number in range(110):
        one = edge(number)
        edges.append(one)
        records.append(
            make_record(
                number,
                NOW + number * SECOND,
                trace_id="" if number % 11 == 0 else number_id(number),
                backend_ns=one.duration_ns + MS,
            )
        )
    learned = learn_stretch(records, edges, set())
    assert (learned.records, learned.pairs, learned.unjoined) == (110, 100, 10)
    [audit] = learned.audits.values()
    assert not audit.is_demoted
    assert audit.precision >= 0.95
    assert learned.joined == 10
    assert learned.delay_ns == 4 * MS
    assert (learned.start_ns, learned.end_ns) == (NOW, NOW + 109 * SECOND)


def test_nothing_is_learned_from_too_few_pairs() -> None:
    """Nineteen pairs are no model: no route is audited, and nothing is claimed."""
    records = [make_record(n, NOW + n * SECOND, trace_id=number_id(n)) for n in range(19)]
    lonely = replace(make_record(50, NOW + 50 * SECOND), trace_id="")
    learned = learn_stretch([*records, lonely], [edge(n) for n in [*range(19), 50]], set())
    assert learned.pairs == 19
    assert learned.audits == {}
    assert (learned.unjoined, learned.joined) == (1, 0)


def test_an_id_that_usually_leads_to_spans_rules_a_stranger_out() -> None:
    """Where trace ids are carried, a record whose trace is not there has no partner at all."""
    records = [make_record(n, NOW + n * SECOND, trace_id=number_id(n)) for n in range(10)]
    matched = match_by_ids(records, [edge(n) for n in [*range(9), 50]], set())
    assert matched.carried == {"trace_id"}
    assert matched.lonely_records == []


def test_a_trace_id_that_nobody_carries_rules_nothing_out() -> None:
    """Where the mesh begins traces of its own, a record with a trace id is weighed like others."""
    records = [make_record(n, NOW + n * SECOND, trace_id=number_id(n)) for n in range(10)]
    matched = match_by_ids(records, [edge(n) for n in range(50, 60)], set())
    assert matched.carried == frozenset()
    assert len(matched.lonely_records) == 10
