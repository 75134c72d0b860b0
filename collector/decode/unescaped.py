"""
JSON that a proxy's log format wrote without escaping, brought to what it was meant to be.

nginx fills a template: with its default escaping a quotation mark becomes `\\x22`, a variable that
is not set `-`, one with several values `0.5, 0.3`, and outside quotation marks all three break the
JSON. API Gateway does the same, and puts `$context.error.messageString` in marks of its own.

Source: ngx_http_log_module (`escape=default`); ingress-nginx configmap.md (`log-format-escape-json`
is off by default); Amazon API Gateway developer guide, `$context` variables.
"""

import re
from typing import Any

import orjson

_LONGEST = 65_536
# One that does not end takes all the rest: else every mark after it would look for an end again.
_STRING = r'"(?:[^"\\]|\\.)*(?:"|\Z)'
_NO_NUMBERS = ("NaN", "Infinity")
_ESCAPES = re.compile(r"((?:\\x[0-9A-Fa-f]{2})+)|\\.", re.DOTALL)
_TWICE_QUOTED = re.compile(r'(:\s*)"("[^"]*")"(?=\s*[,}])')
# every text is consumed whole, so that what looks like a member inside one is left alone
_MEMBER = re.compile(
    rf'({_STRING})(\s*:\s*(?![\s"{{\[])([^"{{}}\[\]]*?)(?=,\s*{_STRING}\s*:|\}}))?', re.DOTALL
)


def load_unescaped(text: str) -> dict[str, Any] | None:
    """Return the object that *text* was meant to be, `None` when it cannot be told."""
    if len(text) > _LONGEST or text[:1] != "{" or text[-1:] != "}":
        return None
    text = _ESCAPES.sub(_as_json_escape, text)
    text = _TWICE_QUOTED.sub(r"\1\2", text)
    text = _MEMBER.sub(_as_json_member, text)
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _as_json_escape(match: re.Match[str]) -> str:
    if not match[1]:
        return match[0]
    content = bytes.fromhex(match[0].replace("\\x", ""))
    return _quoted(content.decode(errors="replace"))[1:-1]


def _as_json_member(match: re.Match[str]) -> str:
    name, rest, value = match.groups()
    value = value.rstrip() if value else ""
    if rest is None or value.lstrip("-") in _NO_NUMBERS or _is_json(value):
        return match[0]
    return f"{name}:{_quoted(value) if value not in ('', '-') else 'null'}"


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _quoted(text: str) -> str:
    return orjson.dumps(text).decode()
