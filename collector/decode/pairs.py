"""
Lines of names and values: `name=value name="a value"`, and `name:value` with tabs between (LTSV).

Source: go-logfmt's README (grammar); values in quotation marks have the escapes of JSON; ltsv.org.
"""

import re

import orjson

_PAIR = re.compile(
    r'(?:^|\s)(?P<name>[^\s="\[{]{1,100})=(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^\s"]*))', re.A
)
_TIME = re.compile(
    r"(?:^|[\s\[])(\d{4}-\d\d-\d\d[T ][\d:.,]{8,18}(?:Z|[+-]\d\d:?\d\d)?)(?=\]?(?:\s|$))", re.A
)
_LABELLED = re.compile(r"(?P<name>[\w.@-]{1,100}):(?P<value>.*)", re.ASCII | re.DOTALL)
_LEAST_LABELLED = 3
# What ltsv.org calls otherwise than everybody else: `host` is the client there.
_LABELS = {
    "host": "remote_addr",
    "vhost": "host",
    "req": "request",
    "size": "bytes_sent",
    "reqsize": "request_length",
    "ua": "user_agent",
    "forwardedfor": "x_forwarded_for",
    "reqtime": "request_time",
    "taken_sec": "request_time",
    "apptime": "upstream_response_time",
}
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


def parse_ltsv(line: str) -> dict[str, str]:
    """Return the names and values between the tabs of *line*; {} when one of them has no name."""
    if line.count("\t") < _LEAST_LABELLED - 1 or len(line) > _LONGEST_LINE:
        return {}
    matches = [_LABELLED.fullmatch(part) for part in line.split("\t", _MOST_PAIRS) if part]
    if not all(matches):
        return {}
    found = {each["name"]: each["value"] for each in matches if each}
    # who names the client as everybody does means by `host` what everybody means
    own = {"host": "host"} if "remote_addr" in found else {}
    return {(_LABELS | own).get(name, name): value for name, value in found.items()}


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    try:
        # unlike json it refuses lone surrogates, which UTF-8 cannot spell
        return str(orjson.loads(f'"{text}"'))
    except ValueError:
        return text
