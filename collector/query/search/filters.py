"""
The parameters of a search: what each one means, and how its text is read.

In: the pairs of a query string. Out: `Search`, in which every value has been checked, or
`BadQuestion` naming the parameter. `PARAMETERS` is also what the OpenAPI document shows, so the
reading and the documentation cannot differ.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from collector.decode.urls import split_target, without_default_port
from collector.errors import BadQuestion, UnknownParameter
from collector.identity.ids import prefix_key
from collector.query.timestamps import parse_timestamp
from collector.timestamps import NS_PER_DAY, NS_PER_H, NS_PER_MIN, NS_PER_MS, NS_PER_S

if TYPE_CHECKING:
    from collector.store import RequestFilter

DEFAULT_RANGE_NS = NS_PER_H
DEFAULT_LIMIT = 50
MAX_LIMIT = 500
MAX_RANGE_NS = 400 * NS_PER_DAY
STATES = ("provisional", "complete", "final")
ORDERS = ("-duration", "-start")
_T = TypeVar("_T")
_MAX_TEXT = 512
_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)\s*(ns|us|µs|ms|s|m|h)?", re.ASCII)
_UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": NS_PER_MS,
    "s": NS_PER_S,
    "m": NS_PER_MIN,
    "h": NS_PER_H,
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One query parameter: its meaning, and the JSON schema and example that document it."""

    name: str
    description: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})
    example: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """
    A search that makes sense: what is wanted, and how much of it.

    `state` is known only after stitching, so the store does not look for it. `range_texts` are
    `start` and `end` as they were written.
    """

    wanted: "RequestFilter"
    range_texts: tuple[str, str] = ("", "")
    state: str = ""
    limit: int = DEFAULT_LIMIT
    cursor: str = ""


_NAME = "exact, else in another case"
_TEXTS = {
    "gateway": (f"Gateway product, as in `gateway` of a summary; {_NAME}.", "azure-apim"),
    "api": (f"API name, {_NAME}.", "orders-api"),
    "operation": (f"Operation of the API, {_NAME}.", "get-order"),
    "route": ("Route as rows show it: template, else the span's name or the path.", "/orders/{id}"),
    "method": ("HTTP method, any case.", "GET"),
    "host": ("Host that the client asked for, any case.", "api.shop.example"),
    "service": (f"Service that took part in the request, {_NAME}.", "payments"),
    "consumer": (f"Consumer or subscription that called, {_NAME}.", "acme-mobile"),
    "revision": ("API revision, exact.", "3"),
    "q": (
        "Text inside path (encoded or not), API, operation, or the gateway's words on an error, "
        "any case; or the beginning of an id, six characters and more.",
        "orders/42",
    ),
}
_MOMENT_HELP = (
    "RFC 3339 with any offset, Unix s or ms, `now`, relative (`-15m`, `-1.5h`, `2h ago`, `last "
    "hour`), `09:30`, `today`, `yesterday 17:00`, `last friday noon`; UTC unless an offset says "
    "otherwise."
)
PARAMETERS: tuple[Parameter, ...] = (
    Parameter(
        "start", f"Begin of the range. {_MOMENT_HELP} Default: 1 h before `end`.", example="-15m"
    ),
    Parameter("end", f"End of the range, exclusive. {_MOMENT_HELP} Default: now.", example="now"),
    *(Parameter(name, text, example=example) for name, (text, example) in _TEXTS.items()),
    Parameter("status", "Status code, or a class of them: `504`, `5xx`.", example="504"),
    Parameter("status_class", "The same as `status`.", example="5xx"),
    Parameter(
        "error", "Only failed (`true`) or only good (`false`) requests.", {"type": "boolean"}, True
    ),
    Parameter(
        "min_duration_ms",
        "Shortest total time, in ms; a unit may follow (`1.5s`).",
        {"type": "number", "minimum": 0},
        250,
    ),
    Parameter(
        "max_duration_ms",
        "Longest total time, in ms; a unit may follow.",
        {"type": "number", "minimum": 0},
        10_000,
    ),
    Parameter(
        "joined",
        "Only requests whose gateway record and spans were (`true`) or were not (`false`) joined.",
        {"type": "boolean"},
        False,
    ),
    Parameter(
        "state", "Completeness of the timeline.", {"type": "string", "enum": list(STATES)}, "final"
    ),
    Parameter(
        "limit",
        f"Requests on one page, at most {MAX_LIMIT}.",
        {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
        20,
    ),
    Parameter(
        "order",
        "`-duration`: slowest first. `-start`: newest first.",
        {"type": "string", "enum": list(ORDERS), "default": ORDERS[0]},
        "-start",
    ),
    Parameter("cursor", "`next_cursor` of the page before; the other parameters stay the same."),
)
# what says how to list, and is no filter
OF_LISTS = ("start", "end", "order", "limit", "cursor", "state")
_NAMES = tuple(parameter.name for parameter in PARAMETERS)


def parse_search(pairs: Iterable[tuple[str, str]], *, now_ns: int) -> Search:
    """
    Read the pairs of a query string. An empty value counts as not given.

    Raises:
        BadQuestion: a parameter is unknown, given twice, or not what it should be.
    """
    # `hopline --help` reads the names of filters, and shall not wait for the store's imports
    from collector.store import RequestFilter

    given = collect_pairs(pairs, _NAMES)
    start_ns, end_ns = parse_range(given, now_ns)
    status, status_class = _read_statuses(given)
    texts: dict[str, Any] = {name: read_text(name, given.get(name, "")) for name in _TEXTS}
    text = texts.pop("q")
    shortest = _read(given, "min_duration_ms", read_duration)
    longest = _read(given, "max_duration_ms", read_duration)
    if shortest is not None and longest is not None and shortest > longest:
        msg = "min_duration_ms: is above max_duration_ms, so nothing can match"
        raise BadQuestion(msg)
    return Search(
        wanted=RequestFilter(
            start_ns=start_ns,
            end_ns=end_ns,
            status=status,
            status_class=status_class,
            is_error=_read(given, "error", read_boolean),
            is_joined=_read(given, "joined", read_boolean),
            min_duration_ns=shortest,
            max_duration_ns=longest,
            text=text,
            id_prefix=prefix_key(text),
            with_logged=True,
            order="-start" if read_choice(given, "order", ORDERS) == "-start" else "-duration",
            **texts,
        ),
        range_texts=(given.get("start", ""), given.get("end", "")),
        state=read_choice(given, "state", STATES),
        limit=_read(given, "limit", _read_limit) or DEFAULT_LIMIT,
        cursor=given.get("cursor", ""),
    )


def collect_pairs(pairs: Iterable[tuple[str, str]], names: Iterable[str]) -> dict[str, str]:
    """
    Return the pairs as a mapping, without the empty ones.

    Raises:
        UnknownParameter: a name is not among *names*; the hint has them, and the nearest.
        BadQuestion: a name comes twice.
    """
    known = tuple(names)
    given: dict[str, str] = {}
    for name, value in pairs:
        if name not in known:
            nearest = difflib.get_close_matches(name[:64], known, n=1, cutoff=0.5)
            meant = f"did you mean {nearest[0]}? " if nearest else ""
            hint = f"{meant}Known: {', '.join(known)}." if known else "it takes no parameters"
            msg = f"{_shorten(name)}: there is no such parameter"
            raise UnknownParameter(msg, hint=hint)
        if name in given:
            msg = f"{name}: given more than once"
            raise BadQuestion(msg)
        if value.strip():
            given[name] = value.strip()
    return given


def read_boolean(name: str, text: str) -> bool:
    """
    Read a yes or no.

    Raises:
        BadQuestion: it is neither; the message names the parameter.
    """
    lower = text.lower()
    if lower in ("true", "1", "yes"):
        return True
    if lower in ("false", "0", "no"):
        return False
    msg = f"{name}: {_shorten(text)} is neither true nor false"
    raise BadQuestion(msg, hint=f"write {name}=true or {name}=false")


def _read(given: Mapping[str, str], name: str, reader: Callable[[str, str], _T]) -> _T | None:
    return reader(name, given[name]) if name in given else None


def parse_range(given: Mapping[str, str], now_ns: int) -> tuple[int, int]:
    """
    Read `start` and `end`; without them the hour up to `end` or now.

    Raises:
        BadQuestion: one of them is no moment, or they are in the wrong order.
    """
    end_ns = now_ns
    if "end" in given:
        ahead_ns = now_ns + NS_PER_DAY // 2
        end_ns = parse_timestamp(given["end"], name="end", now_ns=now_ns, latest_ns=ahead_ns)
    start_ns = max(end_ns - DEFAULT_RANGE_NS, 0)
    if "start" in given:
        start_ns = parse_timestamp(given["start"], name="start", now_ns=now_ns, latest_ns=end_ns)
    if start_ns >= end_ns:
        msg = "start: is not before end"
        raise BadQuestion(msg, hint="the range is [start, end); without end it ends now")
    if end_ns - start_ns > MAX_RANGE_NS:
        msg = "start: the range is longer than 400 days"
        raise BadQuestion(msg, hint="ask for a shorter range")
    return start_ns, end_ns


def read_text(name: str, text: str) -> str:
    """
    Return a text that may be looked for, in the case in which it is kept.

    Raises:
        BadQuestion: it is too long or holds a NUL; the message names the parameter.
    """
    if len(text) > _MAX_TEXT:
        msg = f"{name}: longer than {_MAX_TEXT} characters"
        raise BadQuestion(msg)
    if "\x00" in text:
        msg = f"{name}: contains a NUL character"
        raise BadQuestion(msg)
    if name == "method":
        return text.upper()
    if name == "host":
        target = split_target(text.lower())
        return without_default_port(target.host or target.path, target.scheme)
    # a beginning that somebody shortened
    return text.rstrip("…").removesuffix("...") if name == "q" else text


def _read_statuses(given: Mapping[str, str]) -> tuple[int | None, int | None]:
    """Return the status and the class of statuses; either parameter may hold either."""
    found: dict[bool, int] = {}
    for name in ("status", "status_class"):
        text = given.get(name, "")
        is_class = bool(re.fullmatch(r"[1-5](xx|XX)?", text))
        if text and not is_class and not re.fullmatch(r"0|[1-9]\d\d", text, re.ASCII):
            msg = f"{name}: {_shorten(text)} is neither a status code nor a class of them"
            raise BadQuestion(msg, hint="write 504 or 5xx")
        value = int(text[0] if is_class else text or 0)
        if text and found.setdefault(is_class, value) != value:
            msg = f"{name}: {_shorten(text)} contradicts `status`, so nothing can match"
            raise BadQuestion(msg)
    return found.get(False), found.get(True)


def read_choice(given: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    """
    Return what was chosen, "" for nothing.

    Raises:
        BadQuestion: it is none of the choices; the message names the parameter.
    """
    text = given.get(name, "")
    if text and text not in choices:
        msg = f"{name}: {_shorten(text)} is not one of {', '.join(choices)}"
        raise BadQuestion(msg)
    return text


def read_duration(name: str, text: str) -> int:
    """
    Return a duration in ns: of ms, or of the unit that follows.

    Raises:
        BadQuestion: it is none; the message names the parameter.
    """
    matched = _DURATION.fullmatch(text)
    if not matched:
        msg = f"{name}: {_shorten(text)} is not a duration"
        raise BadQuestion(msg, hint="write milliseconds (250), or a number with a unit (1.5s)")
    number, unit = matched.groups()
    whole, _, fraction = number.partition(".")
    scale = _UNITS_NS[unit or "ms"]
    return min(int(whole) * scale + int(f"{fraction:0<9}") * scale // 10**9, 2**62)


def _read_limit(name: str, text: str) -> int:
    if text.isascii() and text.isdecimal() and len(text) < 10 and 1 <= int(text) <= MAX_LIMIT:
        return int(text)
    msg = f"{name}: {_shorten(text)} is not a whole number from 1 to {MAX_LIMIT}"
    raise BadQuestion(msg, hint="get further pages with cursor")


def _shorten(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:79] + "…")
