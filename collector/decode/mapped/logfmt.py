"""
Lines of `name=value name="a value"`, as Go's loggers, Traefik, Tyk and many others write them.

Source: go-logfmt's README (grammar); values in quotation marks have the escapes of JSON.
"""

import json
import re

_PAIR = re.compile(
    r'(?:^|\s)(?P<name>[^\s="\[{]{1,100})=(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^\s"]*))', re.A
)
_TIME = re.compile(
    r"(?:^|[\s\[])(\d{4}-\d\d-\d\d[T ][\d:.,]{8,18}(?:Z|[+-]\d\d:?\d\d)?)(?=\]?(?:\s|$))", re.A
)
_LONGEST_LINE = 65_536
_MOST_PAIRS = 256


def parse_logfmt(line: str) -> dict[str, str]:
    """
    Return the pairs of *line*, whatever stands before and between them; {} when it has none.

    A moment before the first of them is `time`.
    """
    if "=" not in line or len(line) > _LONGEST_LINE:
        return {}
    found: dict[str, str] = {}
    first = _PAIR.search(line)
    # of several moments before the pairs, a shipper's and the line's own, the last
    for moment in _TIME.finditer(line, 0, first.start() if first else 0):
        found["time"] = moment[1]
    for match in _PAIR.finditer(line):
        quoted = match["quoted"]
        found[match["name"]] = match["bare"] if quoted is None else _unescaped(quoted)
        if len(found) == _MOST_PAIRS:
            break
    return found


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    try:
        return str(json.loads(f'"{text}"'))
    except ValueError:
        return text
