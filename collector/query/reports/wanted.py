"""
The parameters of questions about many requests, read into the store's filter.

In: pairs of a query string, any of the filters of a search that a population has. Out: a
`RequestFilter`, or `BadQuestion` naming the parameter.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from collector.errors import BadQuestion, UnknownParameter
from collector.query.results import TimeRange
from collector.query.search.filters import PARAMETERS, Parameter, parse_search
from collector.store import GROUP_FIELDS, MOST_GROUP_FIELDS, RequestFilter

_OF_RECORDS = (
    "start", "end", "gateway", "api", "operation", "route", "method", "host", "consumer",
    "revision", "status", "status_class", "error",
)  # fmt: skip
RECORD_FILTERS: tuple[Parameter, ...] = tuple(
    each for each in PARAMETERS if each.name in _OF_RECORDS
)
STITCHED_FILTERS: tuple[Parameter, ...] = tuple(
    each for each in PARAMETERS if each.name in (*_OF_RECORDS, "service")
)
GROUP_BY = Parameter(
    "group_by",
    f"What requests are told apart by beside gateway and API, at most {MOST_GROUP_FIELDS} of "
    f"{', '.join(GROUP_FIELDS)}; commas in between.",
    example="consumer",
)
NOT_STITCHED = (
    "No stitched request fits. That begins some seconds after requests arrive and goes back an "
    "hour at most; a name that is asked for is compared whole, with those that /api/v1/apis and "
    "/api/v1/services have."
)


def names_of(*parameters: Parameter) -> tuple[str, ...]:
    """Return the names of some parameters."""
    return tuple(each.name for each in parameters)


def read_filter(given: Mapping[str, str], now_ns: int) -> RequestFilter:
    """
    Read what is given of the filters into one.

    Raises:
        BadQuestion: a value is not what it should be.
    """
    known = names_of(*PARAMETERS)
    return parse_search(((k, v) for k, v in given.items() if k in known), now_ns=now_ns).wanted


def read_group_by(text: str) -> tuple[str, ...]:
    """
    Read the fields to group by.

    Raises:
        UnknownParameter: one is unknown.
        BadQuestion: there are too many.
    """
    fields = tuple(dict.fromkeys(each.strip() for each in text.split(",") if each.strip()))
    fields = tuple(each for each in fields if each not in ("gateway", "api"))
    for each in fields:
        if each not in GROUP_FIELDS:
            msg = f"group_by: {each[:80]!r} is not a field of gateway records"
            raise UnknownParameter(msg, hint=f"Known: {', '.join(GROUP_FIELDS)}.")
    if len(fields) > MOST_GROUP_FIELDS:
        msg = f"group_by: more than {MOST_GROUP_FIELDS} fields"
        raise BadQuestion(msg)
    return fields


def range_of(wanted: RequestFilter) -> TimeRange:
    """Return the range that a filter looks through."""
    return TimeRange(start_ns=wanted.start_ns, end_ns=wanted.end_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """
    What weighed numbers rest on: so many `stitched` requests, which stand for `requests`.

    Slow and failed ones are stitched first, of the others as many as the processor's share allows.
    """

    stitched: int
    requests: int


def ratio(part: float, whole: float) -> float:
    """Return a share, 0 of nothing."""
    return part / whole if whole else 0.0


def tell_open(count: float) -> str:
    """Return what an answer about durations says of connections that are not in them."""
    if round(count) < 1:
        return ""
    return (
        f"{round(count)} requests became connections that stay open (WebSocket, event stream, "
        "CONNECT): how long they did is no time of an answer, and in no percentile."
    )


def tell_cut(found: int, most: int, what: str, which: str = "busiest") -> str:
    """Return what an answer says that lists only the *most* of what was *found*."""
    if found <= most:
        return ""
    return f"Only the {most:,} {which} {what} are listed: narrow the question for the others."


def join_notes(notes: Iterable[str]) -> str:
    """Write notes as one text."""
    return " ".join(each for each in notes if each)
