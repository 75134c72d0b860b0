"""
Attribute values with the types that tracing tools show and compare.

The tables hold text, as the OpenTelemetry exporter for ClickHouse writes it, so a value's type is
read from how it is written: only what a number or a boolean is always written as becomes one. Names
that say that the value is a name (an id, a version) stay text, whatever it looks like.
"""

import re
from collections.abc import Mapping
from functools import lru_cache

Value = str | bool | int | float

# of `true` and `false`, and of numbers: most texts end otherwise, and need no second look
_LAST_CHARACTERS = frozenset("e0123456789")
_BOOLEANS = {"true": True, "false": False}
_INTEGER = re.compile(r"0|-?[1-9]\d{0,15}", re.ASCII)
_FRACTION = re.compile(r"-?(?:0|[1-9]\d{0,15})\.\d{1,17}", re.ASCII)
# JavaScript cannot hold a larger one, and nearly all tools' pages are written in it
_MAX_INTEGER = 2**53 - 1
_NAMES = re.compile(
    r"(?:^|[._\-])(?:u?u?ids?|key|token|hash|version|revision|tag|name|code_name|zip|phone|ip|host|"
    r"address|subject|build|release|user|account|number)$|[a-z](?:Id|ID|Version|Name|Key)$|"
    r"^(?:http\.(?:request|response)\.header|envoy|istio|k8s|cloud)\.",
    re.ASCII,
)


def type_values(attributes: Mapping[str, str]) -> dict[str, Value]:
    """Return *attributes* with typed values, by name."""
    return {
        key: type_value(key, text) if text[-1:] in _LAST_CHARACTERS else text
        for key, text in sorted(attributes.items())
    }


def type_value(key: str, text: str) -> Value:
    """
    Return the value that *text* is written for, or *text* itself.

    A text is a number if that number would be written exactly so: `200`, `-1`, `0.5`, but not
    `007`, `+1`, `1e3`, `1.50` or what has more digits than a JavaScript number.
    """
    if len(text) > 24 or not text:
        return text
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if not (text[-1].isdigit() and text.isascii()) or _is_of_a_name(key):
        return text
    if _INTEGER.fullmatch(text):
        number = int(text)
        return number if abs(number) <= _MAX_INTEGER else text
    if _FRACTION.fullmatch(text) and repr(float(text)) == text:
        return float(text)
    return text


@lru_cache(maxsize=2_000)
def _is_of_a_name(key: str) -> bool:
    return _NAMES.search(key) is not None
