"""
What a TraceQL query says, as values: conditions, spansets, stages of a pipeline, a metric.

Source: Tempo documentation, "Construct a TraceQL query" and "TraceQL metrics functions".
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import re2

from collector.api.tempo.lexer import Literal, Token, refuse

_DURATIONS = ("duration", "traceDuration")
_NUMBERS = ("nestedSetLeft", "nestedSetParent", "nestedSetRight")
INTRINSICS = (
    "duration", "event:name", "kind", "name", "nestedSetLeft", "nestedSetParent", "nestedSetRight",
    "rootName", "rootServiceName", "span:id", "span:parentID", "status", "statusMessage",
    "trace:id", "traceDuration",
)  # fmt: skip
OTHER_NAMES = {
    "span:duration": "duration",
    "span:kind": "kind",
    "span:name": "name",
    "span:status": "status",
    "span:statusMessage": "statusMessage",
    "trace:duration": "traceDuration",
    "trace:rootName": "rootName",
    "trace:rootService": "rootServiceName",
}
STATUSES = ("error", "ok", "unset")
KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")


@dataclass(frozen=True, slots=True)
class Attribute:
    """
    What of a span is compared. `scope` is `span`, `resource`, "" for either, or `intrinsic`.
    """

    scope: str
    name: str

    def __str__(self) -> str:
        return self.name if self.scope == "intrinsic" else f"{self.scope}.{self.name}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """
    An attribute against a literal: text, number, boolean, or None for nil; a duration is ns.
    """

    attribute: Attribute
    operator: str
    value: str | float | bool | None


@dataclass(frozen=True, slots=True)
class Constant:
    """`true`, `false`, or what `{ }` holds."""

    value: bool


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite of a condition."""

    part: "Condition"


@dataclass(frozen=True, slots=True)
class Both:
    """All of the parts, or any of them."""

    parts: "tuple[Condition, ...]"
    is_any: bool = False


Condition = Comparison | Constant | Not | Both


@dataclass(frozen=True, slots=True)
class Spansets:
    """Spansets that a trace has to have: all of them, or any."""

    parts: "tuple[Wanted, ...]"
    is_any: bool = False


@dataclass(frozen=True, slots=True)
class Structure:
    """
    Spans of `right` that stand in a relation to one of `left`: `>` child, `>>` descendant, `<`
    parent, `<<` ancestor, `~` sibling.

    With `!` in front those that do not, with `&` those of `left` as well.
    """

    operator: str
    left: "Wanted"
    right: "Wanted"


Wanted = Condition | Spansets | Structure


@dataclass(frozen=True, slots=True)
class Filter:
    """`| { … }`: only spans that fit go on."""

    condition: Condition


@dataclass(frozen=True, slots=True)
class Grouping:
    """`| by(attribute)`: a spanset for each value; `| coalesce()`, without one, undoes it."""

    attribute: Attribute | None


@dataclass(frozen=True, slots=True)
class Aggregate:
    """`| avg(duration) > 1s`: only spansets of which this holds go on; durations are ns."""

    function: str
    attribute: Attribute | None
    operator: str
    value: float

    def __str__(self) -> str:
        return f"{self.function}({self.attribute or ''})"


Stage = Filter | Grouping | Aggregate


@dataclass(frozen=True, slots=True)
class Metric:
    """
    `| rate() by(name)`: what is counted, or measured of an attribute, for each group.

    `most` is how many groups are kept: the greatest, or, below 0, the smallest; 0 is all.
    """

    function: str
    attribute: Attribute | None = None
    quantiles: tuple[float, ...] = ()
    by: tuple[Attribute, ...] = ()
    most: int = 0


@dataclass(frozen=True, slots=True)
class TraceQuery:
    """What is looked for, and the attributes that are shown of each span that fits."""

    spansets: Spansets
    selected: tuple[Attribute, ...] = ()
    stages: tuple[Stage, ...] = ()
    metric: Metric | None = None


def is_duration(attribute: Attribute) -> bool:
    """Tell whether an attribute is a length of time, in nanoseconds."""
    return attribute.scope == "intrinsic" and attribute.name in _DURATIONS


def build_condition(left: Attribute | Literal, token: Token) -> Condition:
    """Return what stands alone as a condition. Raises `BadQuestion`."""
    if isinstance(left, Literal):
        if left.value in ("true", "false") and left.kind == "word":
            return Constant(left.value == "true")
        raise refuse(f"{left} at character {token.at + 1} is compared with nothing")
    if left.scope == "intrinsic":
        raise refuse(f"{left} is compared with nothing")
    return Comparison(left, "=", True)


def build_comparison(attribute: Attribute, operator: str, literal: Literal) -> Comparison:
    """Return a comparison that makes sense. Raises `BadQuestion`."""
    value = literal.value
    if literal.kind == "word" and value == "nil" and operator in ("=", "!="):
        return Comparison(attribute, operator, None)
    if literal.kind == "word" and attribute.scope != "intrinsic":
        if value not in ("true", "false"):
            raise refuse(f"{attribute} is compared with {literal}: write texts in quotes")
        value = value == "true"
    if operator in ("=~", "!~"):
        _check_pattern(attribute, literal)
    elif isinstance(value, bool) and operator not in ("=", "!="):
        raise refuse(f"{attribute} {operator} {literal} is not a comparison")
    if attribute.scope == "intrinsic":
        _check_intrinsic(attribute, operator, literal)
    return Comparison(attribute, operator, value)


@lru_cache(maxsize=256)
def compile_pattern(text: str) -> Any:
    """Return a regular expression, compiled once. Raises `re2.error`."""
    return re2.compile(text)


def _check_pattern(attribute: Attribute, literal: Literal) -> None:
    if literal.kind != "text":
        raise refuse(f"{attribute} is matched with {literal}, which is not a regular expression")
    try:
        compile_pattern(str(literal.value))
    except re2.error as error:
        raise refuse(f"{literal} is not a regular expression: {error}") from error


def _check_intrinsic(attribute: Attribute, operator: str, literal: Literal) -> None:
    name = attribute.name
    if name in _DURATIONS:
        wanted, fits = "a duration such as 100ms", literal.kind == "duration"
    elif name in _NUMBERS:
        wanted, fits = "a number", literal.kind == "number"
    elif name == "status":
        wanted, fits = f"one of {', '.join(STATUSES)}", literal.value in STATUSES
    elif name == "kind":
        wanted, fits = f"one of {', '.join(KINDS)}", literal.value in KINDS
    else:
        wanted, fits = "a text in quotes", literal.kind == "text"
    if name in ("status", "kind"):
        fits = fits and literal.kind == "word" and operator in ("=", "!=")
    if not fits or (literal.kind in ("duration", "number") and operator in ("=~", "!~")):
        raise refuse(f"{attribute} {operator} {literal} is not supported: it takes {wanted}")
