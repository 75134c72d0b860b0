"""
The part of TraceQL that is understood, read into values; everything else is refused by name.

    { resource.service.name = "orders" } >> { status = error || duration > 500ms } | select(name)

Spansets may be joined by `&&`, `||` and structural operators; in them attributes and intrinsics
are compared with literals. Behind them stand the stages of a pipeline, and last a metric.

Source: grafana/tempo pkg/traceql (lexer.go, expr.y); Tempo documentation, "Construct a TraceQL
query".
"""

import re
from dataclasses import replace

from collector.api.tempo.lexer import Literal, Token, read_literal, refuse, split_tokens, unescape
from collector.api.tempo.query import (
    INTRINSICS,
    KINDS,
    OTHER_NAMES,
    STATUSES,
    Aggregate,
    Attribute,
    Both,
    Condition,
    Constant,
    Filter,
    Grouping,
    Metric,
    Not,
    Spansets,
    Stage,
    Structure,
    TraceQuery,
    Wanted,
    build_comparison,
    build_condition,
    is_duration,
)
from collector.errors import BadQuestion

_MAX_DEPTH = 40
_MAX_PARTS = 60
_MAX_PATTERNS = 20

AGGREGATES = ("avg", "count", "max", "min", "sum")
COUNTED = ("rate", "count_over_time")
METRICS = (
    *COUNTED, "avg_over_time", "histogram_over_time", "max_over_time", "min_over_time",
    "quantile_over_time", "sum_over_time",
)  # fmt: skip
_HINTS = ("exemplars", "most_recent", "sample")
_ORDERS = frozenset({"=", "!=", ">", ">=", "<", "<="})
_COMPARISONS = _ORDERS | {"=~", "!~"}
_FLIPPED = {">": "<", ">=": "<=", "<": ">", "<=": ">=", "=": "=", "!=": "!="}
_STRUCTURAL = frozenset(
    {">>", "<<", "~", "!>>", "!<<", "!>", "!<", "&>>", "&<<", "&>", "&<", "&~", ">", "<", "!~"}
)
_ARITHMETIC = frozenset("+-*/%^")


def parse_traceql(text: str) -> TraceQuery:
    """
    Read a query.

    Raises:
        BadQuestion: it is no TraceQL, or uses a part that is not understood; the message names it.
    """
    return _Parser(text if text.strip() else "{}").read()


def parse_attribute(text: str) -> Attribute:
    """Read the name of an attribute as it stands in a query. Raises `BadQuestion`."""
    tokens = _Parser(text)
    attribute = tokens.read_attribute()
    tokens.expect_end()
    return attribute


class _Parser:
    """A parser by recursive descent: one method a rule, in the order of the grammar."""

    def __init__(self, text: str) -> None:
        self._tokens = split_tokens(text)
        self._next = 0
        self._depth = 0
        self._parts = 0
        self._patterns = 0
        self._selected: list[Attribute] = []
        self._stages: list[Stage] = []
        self._metric: Metric | None = None

    def read(self) -> TraceQuery:
        spansets = self._spansets()
        while self._take("|"):
            self._stage()
        if self._take_word("with"):
            self._hints()
        self.expect_end()
        return TraceQuery(spansets, tuple(self._selected), tuple(self._stages), self._metric)

    def expect_end(self) -> None:
        token = self._peek()
        if token.kind == "end":
            return
        raise self._unexpected(token, "the end")

    def _spansets(self) -> Spansets:
        parts = [self._joined_spansets()]
        while self._take("||"):
            parts.append(self._joined_spansets())
        return parts[0] if len(parts) == 1 else Spansets(tuple(parts), is_any=True)

    def _joined_spansets(self) -> Spansets:
        parts = [self._related_spansets()]
        while self._take("&&"):
            parts.append(self._related_spansets())
        return Spansets(tuple(parts))

    def _related_spansets(self) -> Wanted:
        left = self._spanset()
        while self._peek().kind == "operator" and self._peek().text in _STRUCTURAL:
            left = Structure(self._advance().text, left, self._spanset())
        return left

    def _spanset(self) -> Wanted:
        if self._take("("):
            self._descend()
            inner = self._spansets()
            self._expect(")")
            self._depth -= 1
            return inner
        token = self._peek()
        if token.kind == "word":
            raise refuse(f"{token.text} is not supported outside of a spanset: {{ … }}")
        return self._braces()

    def _braces(self) -> Condition:
        self._expect("{")
        self._count_part()
        if self._take("}"):
            return Constant(True)
        condition = self._any_of()
        self._expect("}")
        return condition

    def _stage(self) -> None:
        if self._metric is not None:
            self._metric = self._rank(self._metric)
            return
        self._count_part()
        if self._peek().text == "{":
            self._stages.append(Filter(self._braces()))
            return
        name = self._advance().text
        if name == "select":
            self._selected += self._attributes()
        elif name == "by":
            self._stages.append(Grouping(*self._attributes(most=1)))
        elif name == "coalesce":
            self._expect("(")
            self._expect(")")
            self._stages.append(Grouping(None))
        elif name in AGGREGATES:
            self._stages.append(self._aggregate(name))
        elif name in METRICS:
            self._metric = self._read_metric(name)
        else:
            raise refuse(f"| {name or 'the end'} is not supported")

    def _attributes(self, most: int = _MAX_PARTS) -> list[Attribute]:
        self._expect("(")
        found = [self.read_attribute()]
        while len(found) < most and self._take(","):
            self._count_part()
            found.append(self.read_attribute())
        self._expect(")")
        return found

    def _aggregate(self, name: str) -> Aggregate:
        attribute = None
        if name == "count":
            self._nothing()
        else:
            attribute = self._measured(name)
            self._expect(")")
        token = self._advance()
        if token.kind != "operator" or token.text not in _ORDERS:
            raise self._unexpected(token, f"a comparison of {name}(…) with a number")
        literal = read_literal(self._number())
        if (literal.kind == "duration") != (attribute is not None and is_duration(attribute)):
            raise refuse(f"| {name}({attribute or ''}) is no match for {literal}")
        return Aggregate(name, attribute, token.text, float(literal.value))

    def _read_metric(self, name: str) -> Metric:
        attribute, quantiles = None, []
        if name in COUNTED:
            self._nothing()
        else:
            attribute = self._measured(name)
            while self._take(","):
                self._count_part()
                share = read_literal(self._number()).value
                if name != "quantile_over_time" or not 0 <= float(share) <= 1:
                    raise refuse(f"| {name}(…, {share}) is not supported")
                quantiles.append(float(share))
            self._expect(")")
            if name == "quantile_over_time" and not quantiles:
                raise refuse(f"| {name} names no quantile, such as 0.95")
        by = tuple(self._attributes()) if self._take_word("by") else ()
        return Metric(name, attribute, tuple(quantiles), by)

    def _rank(self, metric: Metric) -> Metric:
        name = self._advance().text
        if name not in ("topk", "bottomk"):
            raise refuse(f"| {name or 'the end'} is not supported behind | {metric.function}(…)")
        self._expect("(")
        token = self._advance()
        if token.kind != "number" or not token.text.isdecimal() or not 0 < len(token.text) < 5:
            raise self._unexpected(token, "a number of groups")
        self._expect(")")
        return replace(metric, most=int(token.text) if name == "topk" else -int(token.text))

    def _nothing(self) -> None:
        self._expect("(")
        self._expect(")")

    def _measured(self, name: str) -> Attribute:
        self._expect("(")
        if self._peek().text == ")":
            raise refuse(f"| {name}() names no attribute, such as duration")
        return self.read_attribute()

    def _number(self) -> Token:
        token = self._advance()
        if token.kind not in ("number", "duration"):
            raise self._unexpected(token, "a number")
        return token

    def _hints(self) -> None:
        # the newest traces are always the ones that are found, and metrics are always of a sample
        self._expect("(")
        while True:
            name, _, value = self._advance(), self._expect("="), self._advance()
            if name.text not in _HINTS or value.text not in ("true", "false"):
                raise refuse(f"with({name.text}={value.text}) is not supported")
            if not self._take(","):
                break
        self._expect(")")

    def _any_of(self) -> Condition:
        parts = [self._all_of()]
        while self._take("||"):
            parts.append(self._all_of())
        return parts[0] if len(parts) == 1 else Both(tuple(parts), is_any=True)

    def _all_of(self) -> Condition:
        parts = [self._single()]
        while self._take("&&"):
            parts.append(self._single())
        return parts[0] if len(parts) == 1 else Both(tuple(parts))

    def _single(self) -> Condition:
        self._descend()
        try:
            if self._take("!"):
                return Not(self._single())
            if self._take("("):
                inner = self._any_of()
                self._expect(")")
                return inner
            return self._comparison()
        finally:
            self._depth -= 1

    def _comparison(self) -> Condition:
        self._count_part()
        left = self._operand()
        token = self._peek()
        if token.text in _ARITHMETIC and token.kind == "operator":
            raise refuse(f"the arithmetic operator {token.text} is not supported")
        if token.text not in _COMPARISONS or token.kind != "operator":
            return build_condition(left, token)
        self._next += 1
        right = self._operand()
        token = self._peek()
        if token.text in _ARITHMETIC and token.kind == "operator":
            raise refuse(f"the arithmetic operator {token.text} is not supported")
        operator = self._tokens[self._next - 2].text
        self._patterns += operator in ("=~", "!~")
        if self._patterns > _MAX_PATTERNS:
            raise refuse(f"more than {_MAX_PATTERNS} regular expressions are not read")
        if isinstance(left, Attribute) and isinstance(right, Literal):
            return build_comparison(left, operator, right)
        if isinstance(right, Attribute) and isinstance(left, Literal) and operator in _FLIPPED:
            return build_comparison(right, _FLIPPED[operator], left)
        raise refuse(f"{left} {operator} {right} is not supported: compare with a literal")

    def _operand(self) -> Attribute | Literal:
        token = self._peek()
        if token.kind in ("text", "number", "duration"):
            self._next += 1
            return read_literal(token)
        if token.kind == "word" and token.text in (*STATUSES, *KINDS, "true", "false", "nil"):
            self._next += 1
            return Literal("word", token.text, token.text)
        return self.read_attribute()

    def read_attribute(self) -> Attribute:
        """Read an attribute or an intrinsic. Raises `BadQuestion`."""
        token = self._advance()
        if token.kind == "word":
            name = OTHER_NAMES.get(token.text, token.text)
            if name not in INTRINSICS:
                raise refuse(f"the intrinsic {token.text} is not supported")
            return Attribute("intrinsic", name)
        if token.kind != "attribute":
            raise self._unexpected(token, "an attribute such as span.http.method or .http.method")
        scope, _, name = token.text.partition(".")
        if scope not in ("", "span", "resource", "event"):
            raise refuse(f"the scope {scope}. is not supported")
        return Attribute(scope, re.sub(r'"((?:[^"\\]|\\.)*)"', lambda m: unescape(m[1]), name))

    def _count_part(self) -> None:
        # each is looked at for every span
        self._parts += 1
        if self._parts > _MAX_PARTS:
            raise refuse(f"more than {_MAX_PARTS} spansets, comparisons and names are not read")

    def _descend(self) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise refuse(f"more than {_MAX_DEPTH} levels of parentheses are not read")

    def _peek(self) -> Token:
        return self._tokens[self._next]

    def _advance(self) -> Token:
        token = self._tokens[self._next]
        if token.kind != "end":
            self._next += 1
        return token

    def _take(self, text: str) -> bool:
        token = self._peek()
        if token.kind == "operator" and token.text == text:
            self._next += 1
            return True
        return False

    def _take_word(self, text: str) -> bool:
        token = self._peek()
        if token.kind == "word" and token.text == text:
            self._next += 1
            return True
        return False

    def _expect(self, text: str) -> Token:
        token = self._advance()
        if token.kind == "operator" and token.text == text:
            return token
        raise self._unexpected(token, text)

    def _unexpected(self, token: Token, wanted: str) -> BadQuestion:
        found = "the end" if token.kind == "end" else repr(token.text[:60])
        return refuse(f"{found} at character {token.at + 1} where {wanted} should be")
