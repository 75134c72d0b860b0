"""
Sources that should know a request and did not report it. A timeline says so by itself; counted over
many requests it shows which source is missing where.
"""

from collections.abc import Iterator
from functools import partial

from collector.stitch.doctor.reading import gateway_of, name_of, reference_of
from collector.stitch.doctor.rule import RequestRule, Symptom
from collector.stitch.timeline import Timeline


def find_unreported(status: str, words: str, timeline: Timeline) -> Iterator[Symptom]:
    """A source that should know the request has this status."""
    records = timeline.gateway_records
    first = timeline.hops[0].service if timeline.hops else ""
    for expected in timeline.expected:
        if expected.status == status:
            yield Symptom(
                place=name_of(records[0]) if records else first,
                detail=f"{expected.source} did not report and {words}",
                gateway=gateway_of(timeline),
                refs=tuple(reference_of(merged) for merged in records) or (timeline.id,),
                fix=f"see GET /api/v1/sources for {expected.source}: its lag, and what it last "
                "sent",
            )


SOURCE_RULES: tuple[RequestRule, ...] = (
    RequestRule(
        code="SOURCE_MISSING",
        title="A source that should know the requests did not report",
        meaning="What it would have told of these requests is not known and will not be.",
        find=partial(find_unreported, "never", "no longer will"),
        is_told=False,
    ),
    RequestRule(
        code="SOURCE_LATE",
        title="A source has not reported yet",
        meaning="The timelines may still change.",
        find=partial(find_unreported, "late", "may still come"),
        is_told=False,
    ),
)
"""Rules about one request; the timeline lists the same under what is expected."""
