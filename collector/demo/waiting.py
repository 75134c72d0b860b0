"""
Waiting until every request of the demo can be seen as it was.
"""

import time
from collections.abc import Callable, Sequence

from collector.demo.checks import Document, check
from collector.demo.traffic import Sent

_ASK_INTERVAL_S = 0.5


def wait_until_whole(
    sent: Sequence[Sent],
    ask: Callable[[str], Document | None],
    *,
    deadline: float,
    patience_s: float,
    tell: Callable[[str], None],
    now: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> dict[str, Document]:
    """
    Ask for the timeline of each request until nothing is wrong with it; return the last answers.

    *tell* hears how far it is after each round.

    Gives up at *deadline*, or when all are known and none has got better for *patience_s*: then
    something is wrong that waiting does not mend.
    """
    timelines: dict[str, Document] = {}
    waiting = list(sent)
    problems, improved_at = -1, now()
    while waiting and now() < deadline:
        for one in waiting:
            timeline = ask(one.correlation_id)
            if timeline is not None:
                timelines[one.correlation_id] = timeline
        waiting = [one for one in waiting if _problems(one, timelines) != []]
        is_all_known = all(one.correlation_id in timelines for one in waiting)
        count = sum(len(_problems(one, timelines)) for one in waiting)
        if count != problems or not is_all_known:
            problems, improved_at = count, now()
        tell(f"{len(sent) - len(waiting)} of {len(sent)} timelines are whole")
        if now() - improved_at >= patience_s:
            break
        if waiting:
            pause(_ASK_INTERVAL_S)
    return timelines


def _problems(one: Sent, timelines: dict[str, Document]) -> list[str]:
    timeline = timelines.get(one.correlation_id)
    return check(one, timeline) if timeline is not None else ["no timeline yet"]
