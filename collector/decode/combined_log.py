"""
How the text formats of nginx and its descendants begin: like Apache's combined one.

Source: nginx.org, ngx_http_log_module (`combined`); kubernetes/ingress-nginx docs, log-format.md.
"""

import re

_LONGEST_LINE = 32_768
# Old formats of ingress-nginx repeat the client's address in brackets, for the proxy protocol or as
# `$the_real_ip`.
_HEAD = re.compile(
    r'(?P<remote_addr>[^\s"\[]{1,255}) - (?:\[(?P<the_real_ip>[^\]"]{0,255})\] - )?'
    r'(?P<remote_user>[^"\[]{0,255}) \[(?P<time_local>[^\]"]{1,64})\] '
    r'"(?P<request>[^"]*)" (?P<status>\d{3}) (?P<bytes_sent>\d+|-) '
    r'"(?P<http_referer>[^"]*)" "(?P<http_user_agent>[^"]*)"',
    re.ASCII,
)


def is_line(line: str) -> bool:
    """Tell whether *line* begins like the combined format."""
    return len(line) <= _LONGEST_LINE and _HEAD.match(line) is not None


def parse_head(line: str) -> tuple[dict[str, str], str] | None:
    """Return the variables of the combined format and what follows them; `None` when it is none."""
    head = _HEAD.match(line) if len(line) <= _LONGEST_LINE else None
    return None if head is None else (head.groupdict(), line[head.end() :])


def split_request(request: str) -> tuple[str, str, str]:
    """Return method, target and protocol of a request line; what is not there is ""."""
    method, _, rest = request.partition(" ")
    target, _, protocol = rest.rpartition(" ")
    return (method, target, protocol) if rest else ("", "", "")
