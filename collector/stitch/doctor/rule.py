"""
One thing that can be wrong, as one value: how it is called, what it means, how it is seen, and what
cures it.

Adding a rule is adding one `Rule` to the tuple at the end of the file that its `find` stands in,
and a story in `tests/fixtures/scenarios` that shows it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from collector.stitch.describe import Stitched
from collector.stitch.timeline import Timeline

Seen = TypeVar("Seen")
Shown = TypeVar("Shown")

MIN_REQUESTS = 20
MIN_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Symptom:
    """
    One rule fired on one request.

    `place` is the component to look at, a service or a gateway; "" leaves it to the hop. `gateway`
    is the product at that place, or the one in front of it, by which the fix is chosen; `fix`
    replaces the rule's own. `is_habit` unset: it is told of this request, and says nothing of the
    place's habits.
    """

    place: str
    detail: str
    gateway: str = ""
    refs: tuple[str, ...] = ()
    hop: int = -1
    fix: str = ""
    is_habit: bool = True


@dataclass(frozen=True, kw_only=True)
class Rule(Generic[Seen, Shown]):
    """
    A rule of the doctor, over what its `find` looks at.

    `title` names the trouble in a line and `meaning` says in a sentence what comes of it. `fixes`
    are by gateway product; "" is the one for everybody. With `is_told` unset one request is no
    evidence (a late span looks like a missing one): the rule speaks of many requests only.
    `is_normal`: how a sender is known to work; it is told of a request and never counted.
    A diagnosis needs `min_requests` and `min_share` of what passed the place.
    """

    code: str
    title: str
    meaning: str
    find: Callable[[Seen], Iterator[Shown]]
    fixes: Mapping[str, str] = field(default_factory=dict)
    is_told: bool = True
    is_normal: bool = False
    min_requests: int = MIN_REQUESTS
    min_share: float = MIN_SHARE

    def fix_for(self, gateway: str) -> str:
        """Return the text that cures it for a gateway product, "" where nothing does."""
        return self.fixes.get(gateway) or self.fixes.get("", "")


TreeRule = Rule[Stitched, Symptom]
"""A rule on one request that reads the tree, before it is described."""

RequestRule = Rule[Timeline, Symptom]
"""A rule on one request that reads what its reader sees."""

PopulationRule = Rule[Sequence[Timeline], tuple[Timeline, Symptom]]
"""A rule on many requests, in order of start: what is missing shows only beside what is there."""
