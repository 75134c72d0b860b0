"""
TraceQL cut into tokens, and its literals as values.

Source: grafana/tempo pkg/traceql/lexer.go.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from collector.errors import BadQuestion
from collector.timestamps import NS_PER_MS, NS_PER_S

_MAX_CHARACTERS = 10_000
_MAX_DIGITS = 30

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
_PART = re.compile(r"(\d+)(?:\.(\d+))?(ns|us|µs|ms|s|m|h)")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a query; `kind` is one of the pattern's names, or `end`."""

    kind: str
    text: str
    at: int


@dataclass(frozen=True, slots=True)
class Literal:
    """A literal as it was written; `kind` is text, number, duration or word."""

    kind: str
    value: str | float
    written: str

    def __str__(self) -> str:
        return self.written


def refuse(message: str) -> BadQuestion:
    """Return the error of a query that is not read."""
    return BadQuestion(f"invalid TraceQL query: {message}")


def split_tokens(text: str) -> Sequence[Token]:
    """
    Return the tokens of a query, and the end as one of them.

    Raises:
        BadQuestion: it is too long, or holds what is no token.
    """
    if len(text) > _MAX_CHARACTERS:
        raise refuse(f"a query of more than {_MAX_CHARACTERS} characters is not read")
    tokens, place = [], 0
    end = len(text.rstrip())
    while place < end:
        match = _TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            raise refuse(f"{text[place:].strip()[:20]!r} at character {place + 1} is not read")
        kind = match.lastgroup
        tokens.append(Token(kind, match[kind], match.start(kind)))
        place = match.end()
    tokens.append(Token("end", "", end))
    return tokens


def read_literal(token: Token) -> Literal:
    """Return the value of a text, a number or a duration."""
    if token.kind == "text":
        quoted = token.text[1:-1]
        value = quoted if token.text[0] == "`" else unescape(quoted)
        return Literal("text", value, token.text)
    if sum(map(str.isdigit, token.text)) > _MAX_DIGITS:
        raise refuse(f"the number at character {token.at + 1} has more than {_MAX_DIGITS} digits")
    if token.kind == "number":
        digits = token.text
        return Literal("number", float(digits) if "." in digits else int(digits), digits)
    sign = -1 if token.text.startswith("-") else 1
    total = 0
    for whole, fraction, unit in _PART.findall(token.text):
        total += int(whole) * _UNITS_NS[unit]
        total += int(f"{fraction[:9]:0<9}") * _UNITS_NS[unit] // 10**9
    return Literal("duration", sign * total, token.text)


def unescape(text: str) -> str:
    """Return a quoted text without its backslashes."""
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[0]), text, flags=re.DOTALL)
