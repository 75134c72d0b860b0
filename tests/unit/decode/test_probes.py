"""Health probes are told apart by who asks and by what is asked for."""

import pytest

from collector.decode.probes import is_probe
from collector.model import GatewayRecord


def _record(path: str, method: str = "GET", agent: str = "") -> GatewayRecord:
    attributes = {"user_agent.original": agent} if agent else {}
    return GatewayRecord(
        gateway="kong", record_id="r", start_ns=1, path=path, method=method, attributes=attributes
    )


@pytest.mark.parametrize(
    "record",
    [
        _record("/anything", agent="kube-probe/1.31"),
        _record("/", agent="ELB-HealthChecker/2.0"),
        _record("/", agent="GoogleHC/1.0"),
        _record("/x", agent="Envoy/HC"),
        _record("/", agent="Edge Health Probe"),
        _record("/healthz"),
        _record("/readyz", "HEAD"),
        _record("/shop/v1/livez"),
        _record("/actuator/health/readiness"),
        _record("/health/live"),
        _record("/shop/health"),
        _record("/status-0123456789abcdef"),
        _record("/grpc.health.v1.Health/Check", "POST"),
        _record("/healthz", ""),
        _record("/-/ready"),
    ],
    ids=lambda record: record.path,
)
def test_a_probe_is_marked(record: GatewayRecord) -> None:
    """Kubelet, load balancers and the usual endpoints are probes."""
    assert is_probe(record)


@pytest.mark.parametrize(
    "record",
    [
        _record("/orders/7", agent="Mozilla/5.0 (kube-probe/1.31)"),
        _record("/healthz", "POST"),
        _record("/patients/7/visits/health"),
        _record("/patients/7/health"),
        _record("/health/records"),
        _record("/orders/health-insurance"),
        _record("/status"),
        _record(""),
    ],
    ids=lambda record: record.path,
)
def test_an_api_s_own_resource_is_none(record: GatewayRecord) -> None:
    """A resource called like a probe somewhere deep, or written to, is an ordinary request."""
    assert not is_probe(record)
