"""What users are told to configure in API Management is what the adapter reads."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from collector.decode.gateways import get_adapter

FOLDER = Path(__file__).parents[3] / "deploy" / "gateways" / "azure-apim"
TRACE_ID, SPAN_ID, OUTGOING = "4d" * 16, "5e" * 8, "6f" * 8
VALUES = {
    "v": 1,
    "requestId": "3d2c1b0a-0000-4000-8000-000000000001",
    "traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01",
    "backendTraceparent": f"00-{TRACE_ID}-{OUTGOING}-01",
    "xRequestId": "req-1",
    "service": "apim-quay",
    "region": "North Europe",
    "gatewayId": "managed",
    "api": "cranes",
    "revision": "2",
    "operation": "lift",
    "product": "gold",
    "subscription": "sub",
    "user": "u",
    "clientIp": "198.51.100.1",
    "method": "POST",
    "url": "https://quay.example/cranes",
    "backendUrl": "https://mesh.example/cranes",
    "status": 500,
    "startedAt": "2031-03-05T08:20:00.2500000Z",
    "elapsedMs": 7.25,
    "lastError": {
        "source": "forward-request",
        "reason": "Timeout",
        "message": "m",
        "scope": "api",
        "section": "backend",
        "path": "p",
    },
}


def _expression(name: str) -> str:
    root = ElementTree.parse(FOLDER / name).getroot()
    return "".join(root.itertext()) + "".join(
        value for element in root.iter() for value in element.attrib.values()
    )


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.xml")), ids=lambda path: path.name)
def test_policies_are_well_formed(path: Path) -> None:
    """Each policy is XML as strict as format 'xml' asks for."""
    assert ElementTree.parse(path).getroot().tag in ("fragment", "policies")


def test_every_field_of_the_event_is_read() -> None:
    """The fragment writes no field that the adapter leaves aside, and none is forgotten."""
    written = set(re.findall(r'JProperty\("(\w+)"', _expression("event.fragment.xml")))
    error_fields = set(VALUES["lastError"])  # type: ignore[call-overload]  # it is an object
    assert written == set(VALUES) | error_fields
    (record,) = get_adapter("azure-apim").decode(json.dumps(VALUES).encode()).records
    assert (record.trace_id, record.parent_span_id) == (TRACE_ID, SPAN_ID)
    assert record.outgoing_span_id == OUTGOING
    shown = {
        *(str(value) for value in record.attributes.values()),
        *(each.value for each in record.ids),
        *(str(getattr(record, name)) for name in record.__slots__),
    }
    unread = {
        name
        for name, value in VALUES.items()
        if isinstance(value, str) and not name.endswith(("raceparent", "rl", "At"))
        if value not in shown
    }
    assert not unread
    assert (record.status, record.duration_ns) == (500, 7_250_000)
    assert (record.path, record.backend_path) == ("/cranes", "/cranes")
    assert (record.error_reason, record.error_section) == ("Timeout", "backend")


@pytest.mark.parametrize(
    ("header", "is_kept"),
    [
        (f"00-{TRACE_ID}-{SPAN_ID}-01", True),
        (f"00-{TRACE_ID}-{SPAN_ID}-00", True),
        (f"00-{TRACE_ID}-{'0' * 16}-01", False),
        (f"00-{'0' * 32}-{SPAN_ID}-01", False),
        (f"00-{TRACE_ID.upper()}-{SPAN_ID}-01", False),
        (f"ff-{TRACE_ID}-{SPAN_ID}-01", False),
        (f"00-{TRACE_ID}-{SPAN_ID}-01-more", False),
        ("", False),
    ],
)
def test_fragment_keeps_only_a_valid_traceparent(header: str, is_kept: bool) -> None:
    """An invalid inbound header starts a new trace, as the W3C recommendation asks."""
    (pattern,) = re.findall(r'IsMatch\(header, "(.+?)"\)', _expression("traceparent.fragment.xml"))
    assert bool(re.search(pattern, header)) is is_kept


def test_traceparent_is_logged_on_both_legs() -> None:
    """The diagnostic lists the headers for the frontend and for the backend."""
    text = (FOLDER / "main.bicep").read_text()
    assert text.count("headers: requestHeaders") == 2
    assert "'traceparent'" in text
    assert "httpCorrelationProtocol: 'W3C'" in text
    assert "logAnalyticsDestinationType: 'Dedicated'" in text
