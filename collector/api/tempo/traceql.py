"""
The part of TraceQL that is understood, read into values; everything else is refused by name.

    { resource.service.name = "orders" && (status = error || duration > 500ms) } | select(name)

Spansets may be joined by `&&` and `||`; in them attributes and intrinsics are compared with
literals.

Source: grafana/tempo pkg/traceql (lexer.go, expr.y); Tempo documentation, "Construct a TraceQL
query".
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import re2

from collector.errors import BadQuestion
from collector.timestamps import NS_PER_MS, NS_PER_S

_MAX_CHARACTERS = 10_000
_MAX_DEPTH = 40
_MAX_PARTS = 60
_MAX_PATTERNS = 20
_MAX_DIGITS = 30

INTRINSICS = (
    "duration", "kind", "name", "rootName", "rootServiceName", "span:id", "span:parentID",
    "status", "statusMessage", "trace:id", "traceDuration",
)  # fmt: skip
_OTHER_NAMES = {
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
_UNITS_NS = {
    "ns": 1, "us": 1_000, "µs": 1_000, "ms": NS_PER_MS, "s": NS_PER_S, "m": 60 * NS_PER_S,
    "h": 3600 * NS_PER_S,
}  # fmt: skip
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>"(?:[^"\\]|\\.)*"|`[^`]*`)
      | (?P<duration>-?(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+(?![\w.]))
      | (?P<number>-?\d+(?:\.\d+)?(?![\w.]))
      | (?P<attribute>(?:(?:resource|span|parent|event|link|instrumentation)\.|\.)
            (?:(?:[^\s{}()=~!<>&|^,"`+*]|"(?:[^"\\]|\\.)*")+))
      | (?P<word>[A-Za-z_][A-Za-z_0-9]*(?::[A-Za-z]+)?)
      | (?P<operator>&&|\|\||!=|=~|!~|>=|<=|!>>|!<<|!>|!<|&>>|&<<|&>|&<|&~|>>|<<|=|>|<|~|!|\||
            [{}(),+\-*/%^])
    )""",
    re.VERBOSE | re.DOTALL,
)
_COMPARISONS = frozenset({"=", "!=", "=~", "!~", ">", ">=", "<", "<="})
_FLIPPED = {">": "<", ">=": "<=", "<": ">", "<=": ">=", "=": "=", "!=": "!="}
_STRUCTURAL = frozenset(
    {">>", "<<", "~", "!>>", "!<<", "!>", "!<", "&>>", "&<<", "&>", "&<", "&~", ">", "<", "!~"}
)
_ARITHMETIC = frozenset("+-*/%^")
_PART = re.compile(r"(\d+)(?:\.(\d+))?(ns|us|µs|ms|s|m|h)")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}


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

    parts: "tuple[Condition | Spansets, ...]"
    is_any: bool = False


@dataclass(frozen=True, slots=True)
class TraceQuery:
    """What is looked for, and the attributes that are shown of each span that fits."""

    spansets: Spansets
    selected: tuple[Attribute, ...] = ()


def parse_traceql(text: str) -> TraceQuery:
    """
    Read a query.

    Raises:
        BadQuestion: it is no TraceQL, or uses a part that is not understood; the message names it.
    """
    if len(text) > _MAX_CHARACTERS:
        raise _refuse(f"a query of more than {_MAX_CHARACTERS} characters is not read")
    if not text.strip():
        return TraceQuery(Spansets((Constant(True),)))
    return _Parser(text).read()


def parse_attribute(text: str) -> Attribute:
    """Read the name of an attribute as it stands in a query. Raises `BadQuestion`."""
    tokens = _Parser(text)
    attribute = tokens.read_attribute()
    tokens.expect_end()
    return attribute


def _refuse(message: str) -> BadQuestion:
    return BadQuestion(f"invalid TraceQL query: {message}")


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


class _Parser:
    """A parser by recursive descent: one method a rule, in the order of the grammar."""

    def __init__(self, text: str) -> None:
        self._tokens = _split(text)
        self._next = 0
        self._depth = 0
        self._parts = 0
        self._patterns = 0

    def read(self) -> TraceQuery:
        spansets = self._spansets()
        selected: list[Attribute] = []
        while self._take("|"):
            selected += self._pipeline()
        if self._take_word("with"):
            self._hints()
        self.expect_end()
        return TraceQuery(spansets, tuple(selected))

    def expect_end(self) -> None:
        token = self._peek()
        if token.kind == "end":
            return
        if token.text in _STRUCTURAL:
            raise _refuse(f"the structural operator {token.text} is not supported")
        raise self._unexpected(token, "the end")

    def _spansets(self) -> Spansets:
        parts = [self._joined_spansets()]
        while self._take("||"):
            parts.append(self._joined_spansets())
        return parts[0] if len(parts) == 1 else Spansets(tuple(parts), is_any=True)

    def _joined_spansets(self) -> Spansets:
        parts: list[Condition | Spansets] = [self._spanset()]
        while self._take("&&"):
            parts.append(self._spanset())
        return Spansets(tuple(parts))

    def _spanset(self) -> Condition | Spansets:
        if self._take("("):
            self._descend()
            inner = self._spansets()
            self._expect(")")
            self._depth -= 1
            return inner
        token = self._peek()
        if token.kind == "word":
            raise _refuse(f"{token.text} is not supported outside of a spanset: {{ … }}")
        self._expect("{")
        self._count_part()
        if self._take("}"):
            return Constant(True)
        condition = self._any_of()
        self._expect("}")
        return condition

    def _pipeline(self) -> list[Attribute]:
        token = self._advance()
        if token.text != "select":
            raise _refuse(f"| {token.text or 'the end'} is not supported: only | select(…) is")
        self._expect("(")
        selected = [self.read_attribute()]
        while self._take(","):
            self._count_part()
            selected.append(self.read_attribute())
        self._expect(")")
        return selected

    def _hints(self) -> None:
        # the newest traces are always the ones that are found
        self._expect("(")
        name, _, value = self._advance(), self._expect("="), self._advance()
        if (name.text, value.text) != ("most_recent", "true"):
            raise _refuse(f"with({name.text}={value.text}) is not supported")
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
            raise _refuse(f"the arithmetic operator {token.text} is not supported")
        if token.text not in _COMPARISONS or token.kind != "operator":
            return _as_condition(left, token)
        self._next += 1
        right = self._operand()
        token = self._peek()
        if token.text in _ARITHMETIC and token.kind == "operator":
            raise _refuse(f"the arithmetic operator {token.text} is not supported")
        operator = self._tokens[self._next - 2].text
        self._patterns += operator in ("=~", "!~")
        if self._patterns > _MAX_PATTERNS:
            raise _refuse(f"more than {_MAX_PATTERNS} regular expressions are not read")
        if isinstance(left, Attribute) and isinstance(right, _Literal):
            return _compare(left, operator, right)
        if isinstance(right, Attribute) and isinstance(left, _Literal) and operator in _FLIPPED:
            return _compare(right, _FLIPPED[operator], left)
        raise _refuse(f"{left} {operator} {right} is not supported: compare with a literal")

    def _operand(self) -> "Attribute | _Literal":
        token = self._peek()
        if token.kind in ("text", "number", "duration"):
            self._next += 1
            return _read_literal(token)
        if token.kind == "word" and token.text in (*STATUSES, *KINDS, "true", "false", "nil"):
            self._next += 1
            return _Literal("word", token.text, token.text)
        return self.read_attribute()

    def read_attribute(self) -> Attribute:
        """Read an attribute or an intrinsic. Raises `BadQuestion`."""
        token = self._advance()
        if token.kind == "word":
            name = _OTHER_NAMES.get(token.text, token.text)
            if name not in INTRINSICS:
                raise _refuse(f"the intrinsic {token.text} is not supported")
            return Attribute("intrinsic", name)
        if token.kind != "attribute":
            raise self._unexpected(token, "an attribute such as span.http.method or .http.method")
        scope, _, name = token.text.partition(".")
        if scope not in ("", "span", "resource"):
            raise _refuse(f"the scope {scope}. is not supported")
        return Attribute(scope, re.sub(r'"((?:[^"\\]|\\.)*)"', lambda m: _unescape(m[1]), name))

    def _count_part(self) -> None:
        # each is looked at for every span
        self._parts += 1
        if self._parts > _MAX_PARTS:
            raise _refuse(f"more than {_MAX_PARTS} spansets, comparisons and names are not read")

    def _descend(self) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise _refuse(f"more than {_MAX_DEPTH} levels of parentheses are not read")

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _advance(self) -> _Token:
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

    def _expect(self, text: str) -> _Token:
        token = self._advance()
        if token.kind == "operator" and token.text == text:
            return token
        if text == "{" and token.text in _STRUCTURAL:
            raise _refuse(f"the structural operator {token.text} is not supported")
        raise self._unexpected(token, text)

    def _unexpected(self, token: _Token, wanted: str) -> BadQuestion:
        found = "the end" if token.kind == "end" else repr(token.text[:60])
        return _refuse(f"{found} at character {token.at + 1} where {wanted} should be")


@dataclass(frozen=True, slots=True)
class _Literal:
    """A literal as it was written; `kind` is text, number, duration or word."""

    kind: str
    value: str | float
    written: str

    def __str__(self) -> str:
        return self.written


def _split(text: str) -> Sequence[_Token]:
    tokens, place = [], 0
    end = len(text.rstrip())
    while place < end:
        match = _TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            raise _refuse(f"{text[place:].strip()[:20]!r} at character {place + 1} is not read")
        kind = match.lastgroup
        tokens.append(_Token(kind, match[kind], match.start(kind)))
        place = match.end()
    tokens.append(_Token("end", "", end))
    return tokens


def _read_literal(token: _Token) -> _Literal:
    if token.kind == "text":
        quoted = token.text[1:-1]
        value = quoted if token.text[0] == "`" else _unescape(quoted)
        return _Literal("text", value, token.text)
    if sum(map(str.isdigit, token.text)) > _MAX_DIGITS:
        raise _refuse(f"the number at character {token.at + 1} has more than {_MAX_DIGITS} digits")
    if token.kind == "number":
        digits = token.text
        return _Literal("number", float(digits) if "." in digits else int(digits), digits)
    sign = -1 if token.text.startswith("-") else 1
    total = 0
    for whole, fraction, unit in _PART.findall(token.text):
        total += int(whole) * _UNITS_NS[unit]
        total += int(f"{fraction[:9]:0<9}") * _UNITS_NS[unit] // 10**9
    return _Literal("duration", sign * total, token.text)


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[0]), text, flags=re.DOTALL)


def _as_condition(left: "Attribute | _Literal", token: _Token) -> Condition:
    if isinstance(left, _Literal):
        if left.value in ("true", "false") and left.kind == "word":
            return Constant(left.value == "true")
        raise _refuse(f"{left} at character {token.at + 1} is compared with nothing")
    if left.scope == "intrinsic":
        raise _refuse(f"{left} is compared with nothing")
    return Comparison(left, "=", True)


def _compare(attribute: Attribute, operator: str, literal: _Literal) -> Comparison:
    value = literal.value
    if literal.kind == "word" and attribute.scope != "intrinsic":
        if value == "nil" and operator in ("=", "!="):
            return Comparison(attribute, operator, None)
        if value not in ("true", "false"):
            raise _refuse(f"{attribute} is compared with {literal}: write texts in quotes")
        value = value == "true"
    if operator in ("=~", "!~"):
        _check_pattern(attribute, literal)
    elif isinstance(value, bool) and operator not in ("=", "!="):
        raise _refuse(f"{attribute} {operator} {literal} is no comparison")
    if attribute.scope == "intrinsic":
        _check_intrinsic(attribute, operator, literal)
    return Comparison(attribute, operator, value)


@lru_cache(maxsize=256)
def compile_pattern(text: str) -> Any:
    """Return a regular expression, compiled once. Raises `re2.error`."""
    return re2.compile(text)


def _check_pattern(attribute: Attribute, literal: _Literal) -> None:
    if literal.kind != "text":
        raise _refuse(f"{attribute} is matched with {literal}, which is no regular expression")
    try:
        compile_pattern(str(literal.value))
    except re2.error as error:
        raise _refuse(f"{literal} is no regular expression: {error}") from error


def _check_intrinsic(attribute: Attribute, operator: str, literal: _Literal) -> None:
    name = attribute.name
    if name in ("duration", "traceDuration"):
        wanted, fits = "a duration such as 100ms", literal.kind == "duration"
    elif name == "status":
        wanted, fits = f"one of {', '.join(STATUSES)}", literal.value in STATUSES
    elif name == "kind":
        wanted, fits = f"one of {', '.join(KINDS)}", literal.value in KINDS
    else:
        wanted, fits = "a text in quotes", literal.kind == "text"
    if name in ("status", "kind"):
        fits = fits and literal.kind == "word" and operator in ("=", "!=")
    if not fits or (literal.kind == "duration" and operator in ("=~", "!~")):
        raise _refuse(f"{attribute} {operator} {literal} is not supported: it takes {wanted}")
