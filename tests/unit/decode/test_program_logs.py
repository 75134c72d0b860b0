"""Lines that a program writes about itself are told from its access log."""

import json
from typing import Any

import pytest

from collector.decode.gateways import find_adapters, get_adapter
from collector.decode.program_logs import is_program_line, is_program_row
from tests.gateway_fixtures import read_cases

LINES = [
    "I0304 05:06:07.089012       7 controller.go:166] Configuration changes detected",
    '2026/03/04 05:06:07 [error] 31#31: *7 connect() failed, upstream: "http://10.0.0.1:80/"',
    "2026/03/04 05:06:07 listening on :8080",
    "[2026-03-04 05:06:07.089][1][info][main] [source/server/server.cc:1] starting main loop",
    "2026-03-04T05:06:07.089012Z\tinfo\txdsproxy\tconnected to upstream XDS server",
    "2026-03-04T05:06:07.089Z  INFO 1 --- [main] c.e.GatewayApplication : Started",
    "2026-03-04 05:06:07,089 [main] WARN  o.s.Bean - slow",
    "05:06:07.089 [reactor-http-nio-1] DEBUG r.n.Client - opened",
    'time="2026-03-04T05:06:07Z" level=info msg="starting"',
    "level=warn ts=1 msg=x",
    "[warn] 31#31: conflicting server name",
    "INFO: started",
    "\tat com.example.Filter.apply(Filter.java:17)",
    "Caused by: java.io.IOException: reset",
    "2026-03-04T05:06:07.1Z stdout F I0304 05:06:07.089012       7 main.go:1] x",
]


@pytest.mark.parametrize("line", LINES)
def test_a_program_s_line_is_known(line: str) -> None:
    """klog, nginx's errors, Envoy's and Spring's own logs, logfmt and stack traces."""
    assert is_program_line(line)


@pytest.mark.parametrize(
    ("row", "is_own"),
    [
        ({"level": "info", "ts": 1, "logger": "x", "msg": "started"}, True),
        ({"severity": "WARNING", "message": "slow"}, True),
        ({"Level": "Informational", "timestamp": "t", "eventType": "Received"}, True),
        ({"level": "info", "msg": "", "DownstreamStatus": 200}, False),
        ({"level": "info", "message": "done", "duration_ms": 7}, False),
        ({"message": "no level"}, False),
        ({"level": 3}, False),
    ],
)
def test_a_program_s_row_has_a_level_and_words_and_no_request(
    row: dict[str, Any], is_own: bool
) -> None:
    """An access log in JSON may have a level too: what is of a request tells it apart."""
    assert is_program_row(row) is is_own


@pytest.mark.parametrize("name", find_adapters())
@pytest.mark.parametrize("words", ["msg", "message"])
def test_a_program_s_row_is_one_although_its_words_could_be_a_line(name: str, words: str) -> None:
    """What stands in its message is no request either, with a shipper's envelope and without."""
    row = {"level": "info", "ts": 1772600767.1, words: "the listener is up", "source": "host"}
    wrapped = {"log": json.dumps(row), "stream": "stdout"}
    decoded = get_adapter(name).decode(json.dumps([row, wrapped]).encode())
    assert not decoded.rejected, decoded.rejected
    assert [each.code for each in decoded.ignored] == ["event"] * 2


@pytest.mark.parametrize("name", find_adapters())
def test_no_adapter_takes_its_program_s_lines_for_requests(name: str) -> None:
    """Between requests they are passed over and counted, and cost nobody else anything."""
    adapter = get_adapter(name)
    case = next(each for each in read_cases(adapter) if each.name.startswith("plain"))
    request = case.body.decode() if case.body[:1] != b"{" else case.body.decode().replace("\n", "")
    body = "\n".join([LINES[0], request, *LINES[1:5]])
    decoded = adapter.decode(body.encode())
    assert len(decoded.records) == 1
    assert not decoded.rejected, decoded.rejected
    assert [each.code for each in decoded.ignored] == ["event"] * 5
