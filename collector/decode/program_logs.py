"""
What a gateway's program says about itself between the requests that it logs.

A container's output holds both. Such a line is no request and no damage: it is passed over. Only
what an adapter does not take for its own is asked about here.

Source: klog and glog headers; nginx error_log; Envoy's and Istio's component logs; zap, logrus and
logfmt; Logback's and Spring Boot's console layouts; Java stack traces.
"""

import re

from collector.decode.envelopes import without_headers
from collector.decode.fields import Row

_LEVEL = r"(?:trace|debug|info|informational|notice|warn|warning|error|err|crit|critical|fatal)"
_LINES = re.compile(
    r"[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+ "
    rf"|\d{{4}}/\d\d/\d\d \d\d:\d\d:\d\d (?:\[{_LEVEL}\] |[A-Za-z])"
    rf"|\[\d{{4}}-\d\d-\d\d[T ][\d:.,]{{8,15}}Z?\]\s?\[[^\]]{{1,40}}\]\[{_LEVEL}\]"
    rf"|\S{{1,40}}\t{_LEVEL}\t"
    rf"|(?:\d{{4}}-\d\d-\d\d[T ])?[\d:.,]{{8,15}}(?:Z|[+-]\d\d:?\d\d)?\s+(?:\[[^\]]{{1,80}}\]\s+)?"
    rf"{_LEVEL}\s"
    rf"|\[?{_LEVEL}\]?:?\s"
    r"|(?:[^\s=]{1,40}=(?:\"[^\"]{0,80}\"|[^\s\"]{0,80}) ){0,4}level="
    r"|\s*at [\w.$<>/]{1,200}\(|Caused by: |\.\.\. \d{1,5} (?:more|common frames)"
    r"|(?:Exception in thread |[a-z]\w{0,40}(?:\.[\w$]{1,80}){1,20}(?:Exception|Error)(?::|$))"
    # gin's and KrakenD's
    r"|\[GIN-debug\] "
    rf"|(?:\[\w{{1,20}}\] ?){{1,3}}\d{{4}}/\d\d/\d\d - [\d:.]{{8,15}} \S{{1,3}} {_LEVEL}\s"
    # the banner that Spring Boot begins with
    r"|:: Spring Boot ::|[ _.|/\\'()=,`:]{6,80}$",
    re.ASCII | re.IGNORECASE,
)
# an access log of pairs has a level as well
_STATUS = re.compile(r"\b(?:status|code|status_code)=\"?\d{3}\b", re.ASCII)
_LEVELS = frozenset(("level", "severity", "lvl", "loglevel", "log.level", "levelname", "@level"))
_WORDS = frozenset(("msg", "message", "@message", "eventtype", "event", "logger", "logger_name"))
# What an access log in JSON has as well, whatever it is called.
_OF_REQUESTS = ("status", "duration", "latency", "method", "elapsed")


def is_program_line(line: str) -> bool:
    """Tell whether *line* is a program's own log line, also behind a shipper's header."""
    return _STATUS.search(line) is None and any(
        _LINES.match(each) for each in without_headers(line)
    )


def is_program_row(row: Row) -> bool:
    """Tell whether *row* is a program's own log line in JSON: a level, words, and no request."""
    keys = {key.lower() for key in row if len(key) < 40}
    if _LEVELS.isdisjoint(keys) or _WORDS.isdisjoint(keys):
        return False
    return not any(word in key for key in keys for word in _OF_REQUESTS)
