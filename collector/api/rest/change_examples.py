"""
Examples of changes for the OpenAPI document, told by the product's own rules.
"""

from dataclasses import replace

from collector.decode.redaction.secrets import built_in
from collector.query.reports.change import Change, Changes
from collector.query.reports.change_sentences import write_sentence
from collector.query.reports.changes import measure_effect
from collector.query.reports.told import read_told
from collector.query.results import TimeRange
from collector.store import Visit
from collector.timestamps import NS_PER_MIN, NS_PER_MS, NS_PER_S

_AT_NS = 1_772_357_400 * NS_PER_S  # 2026-03-01T09:30:00Z
_VISITS = tuple(
    Visit(
        start_ns=_AT_NS + number * 10 * NS_PER_S,
        weight=1,
        took_ns=(20 + number % 7 + (15 if number >= 0 else 0)) * NS_PER_MS,
        is_failed=False,
        has_value=number >= 0,
        request_id=f"{number + 1000:032x}",
    )
    for number in range(-300, 300)
)
TOLD = read_told(
    {
        "at": "2026-03-01T09:29:20Z",
        "kind": "deployment",
        "service": "orders",
        "value": "1.4.2",
        "title": "Release 1.4.2",
        "url": "https://ci.example/builds/42",
    },
    _AT_NS,
    built_in(),
)
_EFFECT = measure_effect(_VISITS, _AT_NS, "service")
_CHANGE = Change(
    id="3f1d9c20a7b84e65",
    kind="rollout",
    gateway="",
    api="",
    service="orders",
    value="1.4.2",
    former=("1.4.1",),
    is_rollback=False,
    first_seen_ns=_AT_NS,
    last_seen_ns=_VISITS[-1].start_ns,
    requests=300,
    share=1.0,
    pods=("orders-7d9f8b6c5-x2k4q",),
    told=(TOLD,),
    effect=_EFFECT,
    sentence="",
)
CHANGES = Changes(
    changes=(replace(_CHANGE, sentence=write_sentence(_CHANGE, _EFFECT)),),
    range=TimeRange(start_ns=_AT_NS - 30 * NS_PER_MIN, end_ns=_AT_NS + 30 * NS_PER_MIN),
    note="",
)
