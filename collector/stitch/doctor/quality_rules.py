"""
What the truth check of gateway records found, as rules: one a flag.
"""

from collections.abc import Iterator
from functools import partial

from collector.decode.quality import ABSURD_DURATION, LEFT_OUT_OF_PERCENTILES, MEANINGS
from collector.stitch.describe import Stitched
from collector.stitch.doctor.rule import Symptom, TreeRule


def find_flag(flag: str, stitched: Stitched) -> Iterator[Symptom]:
    """A record whose times bear *flag*."""
    for node in stitched.rooted.members:
        if node.record is not None and flag in node.record.record.quality:
            detail = f"of {node.service}'s record: {MEANINGS[flag]}"
            yield Symptom(place="", detail=detail, refs=(node.reference,), hop=node.hop)


def _rule(flag: str, meaning: str) -> TreeRule:
    use = (
        "Its times are shown as written, and left out of percentiles."
        if flag in LEFT_OUT_OF_PERCENTILES
        else "Its times are shown as written, and do not mean quite what their names say."
    )
    if flag == ABSURD_DURATION:
        use = "It is left out, as if it had not been written."
    title = meaning[:1].upper() + meaning[1:]
    return TreeRule(code=flag, title=title, meaning=use, find=partial(find_flag, flag))


QUALITY_RULES: tuple[TreeRule, ...] = tuple(_rule(*each) for each in sorted(MEANINGS.items()))
"""Rules about one request, by flag."""
