"""
A request that is described and not named: which API, about when, how it ended, whose it was.

In: the pairs of a query string. Out: the id of one request, always the same for the same data.
"""

from collections.abc import Callable, Iterable

from collector.errors import BadQuestion, NotFound
from collector.query.results import Found
from collector.query.search.filters import PARAMETERS, Parameter, collect_pairs
from collector.query.timestamps import parse_timestamp
from collector.timestamps import NS_PER_S, format_timestamp

_AROUND_NS = 300 * NS_PER_S
_OF_THE_PAGE = ("start", "end", "order", "limit", "cursor")
AT = Parameter(
    "at",
    "About when, within 5 minutes: RFC 3339, Unix time, or relative like -20m. Default: now.",
    example="2026-03-02T09:15:00Z",
)
DESCRIBED = (AT, *(each for each in PARAMETERS if each.name not in _OF_THE_PAGE))


def find_described(
    pairs: Iterable[tuple[str, str]],
    search: Callable[[Iterable[tuple[str, str]]], Found],
    now_ns: int,
) -> str:
    """
    Return the id of the slowest request that fits the description within five minutes of `at`.

    Raises:
        BadQuestion: a parameter is unknown, cannot be understood, or is one of a list's.
        NotFound: nothing fits; the hint is what the search has to say about that.
    """
    given = list(pairs)
    for name, _ in given:
        if name in _OF_THE_PAGE:
            msg = f"{name}: a description takes `at` instead"
            raise BadQuestion(msg, hint="or list requests with GET /api/v1/requests")
    collect_pairs(given, (each.name for each in DESCRIBED))
    at_ns = now_ns
    for name, text in given:
        if name == "at":
            at_ns = parse_timestamp(text, name="at", now_ns=now_ns)
    start, end = format_timestamp(at_ns - _AROUND_NS), format_timestamp(at_ns + _AROUND_NS)
    wanted = [pair for pair in given if pair[0] != "at"]
    found = search([("start", start), ("end", end), ("limit", "1"), *wanted])
    if not found.requests:
        msg = f"no request fits this description between {start} and {end}"
        raise NotFound(msg, hint=found.note)
    return found.requests[0].id
