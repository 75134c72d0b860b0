"""The chart renders what Kubernetes accepts, in every mode, and refuses what cannot work."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from collector import __version__
from collector.config import Settings
from tests.golden_file import GOLDEN, check_golden
from tests.packaging import chart_docs
from tests.packaging.chart_docs import CHART
from tests.packaging.tools import ROOT, fetched, need, run

HELM = "helm.sh/helm/v3/cmd/helm@v3.22.0"
OLDEST, NEWEST = "1.30", "1.37"
PLAIN = ROOT / "deploy" / "kubernetes"
EVERYTHING = GOLDEN / "helm" / "everything.values.yaml"
TOKENS = "tokens.existingSecret=hopline-tokens"
ROLES = f"{TOKENS},mode=roles,clickhouse.existingSecret=hopline-clickhouse"
_OTHERS = ("HTTPRoute", "ServiceMonitor", "PrometheusRule")  # of the Gateway API and Prometheus


@pytest.fixture(scope="session")
def helm() -> Path:
    """Helm, built from its Go module once and kept."""
    go = need("go", "it builds helm")
    return fetched("helm", HELM, lambda folder: _build_helm(go, folder), "a Go module") / "helm"


def _build_helm(go: str, folder: Path) -> None:
    environment = {"GOBIN": str(folder), "GOFLAGS": "-mod=mod -ldflags=-s"}
    run([go, "install", HELM], cwd=folder, environment=environment, timeout_s=900)


@pytest.fixture(scope="session")
def renderings(helm: Path) -> dict[str, str]:
    """What the chart renders: one server, roles apart, and everything switched on."""
    return {
        "single": _render(helm, "--set", TOKENS),
        "roles": _render(helm, "--set", ROLES),
        "everything": _render(helm, "--values", str(EVERYTHING)),
    }


def _render(helm: Path, *options: str) -> str:
    base = [helm, "template", "hopline", CHART, "--namespace", "observability"]
    return run([*base, "--kube-version", f"{OLDEST}.0", *options])


def test_golden_values_are_documented() -> None:
    """README table and schema are written from values.yaml."""
    path = CHART / "README.md"
    begin, _, rest = path.read_text().partition("<!-- values: generated -->\n")
    table = f"<!-- values: generated -->\n{chart_docs.readme_table()}\n<!-- end -->"
    check_golden(path, f"{begin}{table}{rest.partition('<!-- end -->')[2]}")
    check_golden(CHART / "values.schema.json", chart_docs.schema())


@pytest.mark.timeout(900)
def test_chart_passes_helm_lint(helm: Path) -> None:
    """Helm has no complaint about the chart in any mode."""
    for options in (["--set", TOKENS], ["--set", ROLES], ["--values", str(EVERYTHING)]):
        run([helm, "lint", "--strict", "--kube-version", f"{OLDEST}.0", CHART, *options])


@pytest.mark.timeout(900)
@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("mode", ["single", "roles", "everything"])
def test_kubernetes_accepts_what_is_rendered(
    renderings: dict[str, str], mode: str, version: str, tmp_path: Path
) -> None:
    """Every object has only fields that its schema knows, in the oldest and newest version."""
    objects = [one for one in yaml.safe_load_all(renderings[mode]) if one]
    ours = [one for one in objects if one["kind"] not in _OTHERS]
    assert len(ours) >= len(objects) - len(_OTHERS)
    path = tmp_path / "rendered.yaml"
    path.write_text(yaml.safe_dump_all(ours))
    validate = Path(sys.executable).with_name("kubernetes-validate")
    run([validate, "--strict", "--no-warn", "--quiet", "-k", version, path])


@pytest.mark.timeout(900)
def test_golden_renderings(renderings: dict[str, str]) -> None:
    """The plain manifests, and one rendering with everything on, are what the chart renders now."""
    for mode in ("single", "roles"):
        head = f"# The chart's mode `{mode}` without Helm. `make golden` writes it.\n"
        check_golden(PLAIN / f"{mode}.yaml", head + _without_helm(renderings[mode]))
    check_golden(GOLDEN / "helm" / "everything.yaml", _compact(renderings["everything"]))


def test_every_value_has_a_description() -> None:
    """No leaf of values.yaml is left without its line."""
    described = {value.path for value in chart_docs.values()}
    leaves = _leaves(yaml.safe_load((CHART / "values.yaml").read_text()))
    assert not [
        leaf
        for leaf in leaves
        if not any(leaf == one or leaf.startswith(f"{one}.") for one in described)
    ]


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("options", "named"),
    [
        ("", "tokens.existingSecret"),
        (f"{TOKENS},mode=roles", "clickhouse.existingSecret"),
        (f"{TOKENS},mode=cluster", "mode"),
        (f"{TOKENS},ingest.persistence.size=20G", "size"),
        (f"{TOKENS},ingest.replica=4", "replica"),
        (f"{TOKENS},settings.TTL=4", "TTL"),
        (f"{TOKENS},azure.workloadIdentity.enabled=true", "azure.workloadIdentity.clientId"),
        (f"{TOKENS},httpRoute.enabled=true", "httpRoute.parentRefs"),
        (
            f"{TOKENS},tls.existingSecret=certificate,settings.HOPLINE_TLS_CLIENT_CA=/ca.crt",
            "HOPLINE_TLS_CLIENT_CA",
        ),
    ],
)
def test_chart_refuses_by_name(helm: Path, options: str, named: str) -> None:
    """A value that is missing or misspelt is named, and nothing is rendered."""
    command = [str(helm), "template", "hopline", str(CHART), "--kube-version", f"{OLDEST}.0"]
    command += ["--set", options] if options else []
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert named in done.stderr


@pytest.mark.timeout(900)
def test_pods_are_restricted(renderings: dict[str, str]) -> None:
    """Every container of every mode satisfies Kubernetes' restricted pod security standard."""
    for pod in _pods(renderings["everything"] + "\n---\n" + renderings["single"]):
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False  # HOPLINE_INGEST_PORT would be an address
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("mode", ["single", "roles"])
def test_ports_that_are_switched_on_are_reached(helm: Path, mode: str) -> None:
    """A port set in the values is a setting, a port of a container and one of its Service."""
    options = TOKENS if mode == "single" else ROLES
    wanted = {"ports.zipkin": 9411, "queryPorts.jaegerQuery": 16685, "queryPorts.sql": 8123}
    options += "".join(f",{path}={port}" for path, port in wanted.items())
    rendering = _render(helm, "--set", options)
    services = [one["spec"] for one in _objects(rendering) if one["kind"] == "Service"]
    containers = [
        (one["metadata"]["labels"], container)
        for one in _objects(rendering)
        if one["kind"] in ("StatefulSet", "Deployment")
        for container in one["spec"]["template"]["spec"]["containers"]
    ]
    for port in wanted.values():
        ((selector, name),) = [
            (spec["selector"], each["targetPort"])
            for spec in services
            for each in spec["ports"]
            if each["port"] == port
        ]
        (container,) = [
            container
            for labels, container in containers
            if selector.items() <= labels.items()
            and {"name": name, "containerPort": port} in container["ports"]
        ]
        assert str(port) in [one.get("value") for one in container["env"]]


@pytest.mark.timeout(900)
def test_no_probe_speaks_plain_text_to_a_certificate(renderings: dict[str, str]) -> None:
    """With a certificate every probe and scrape uses TLS, and the files named are mounted."""
    for pod in _pods(renderings["everything"]):
        mounted = {each["mountPath"] for one in pod["containers"] for each in one["volumeMounts"]}
        assert "/etc/hopline/tls" in mounted
        for container in pod["containers"]:
            probes = [probe for name, probe in container.items() if name.endswith("Probe")]
            assert {probe["httpGet"]["scheme"] for probe in probes} <= {"HTTPS"}
    (monitor,) = [
        one for one in _objects(renderings["everything"]) if one["kind"] == "ServiceMonitor"
    ]
    assert {one["scheme"] for one in monitor["spec"]["endpoints"]} == {"https"}


@pytest.mark.timeout(900)
def test_settings_exist(renderings: dict[str, str]) -> None:
    """Every HOPLINE_ variable that the chart sets is one that Hopline reads."""
    known = {f"HOPLINE_{name.upper()}" for name in Settings.model_fields}
    used = {
        one["name"]
        for pod in _pods(renderings["everything"])
        for container in pod["containers"]
        for one in container["env"]
        if one["name"].startswith("HOPLINE_")
    }
    assert len(used) > 12
    assert used <= known


@pytest.mark.timeout(900)
def test_alerts_ask_for_metrics_that_exist(renderings: dict[str, str]) -> None:
    """An alert on a metric that nobody writes would never fire."""
    sources = "".join(path.read_text() for path in (ROOT / "collector").rglob("*.py"))
    (rules,) = [
        one for one in _objects(renderings["everything"]) if one["kind"] == "PrometheusRule"
    ]
    alerts = rules["spec"]["groups"][0]["rules"]
    assert len(alerts) >= 5
    for alert in alerts:
        (metric,) = [word for word in _words(alert["expr"]) if word.startswith("hopline_")]
        assert f'"{metric}"' in sources, alert["alert"]


@pytest.mark.timeout(900)
def test_every_ingest_pod_may_poll(renderings: dict[str, str]) -> None:
    """The pods with doors know the workspaces, the server that deals out turns, no others do."""
    (puller,) = [
        one
        for one in _objects(renderings["everything"])
        if "HOPLINE_AZURE_WORKSPACE_IDS" in json.dumps(one)
    ]
    assert (puller["kind"], puller["metadata"]["name"]) == ("StatefulSet", "hopline-ingest")
    (polling,) = [
        container
        for container in puller["spec"]["template"]["spec"]["containers"]
        if "HOPLINE_AZURE_WORKSPACE_IDS" in json.dumps(container)
    ]
    assert polling["args"] == ["serve", "--role", "ingest"]
    assert {"HOPLINE_CLICKHOUSE_URL", "HOPLINE_EVENTHUB_BOOTSTRAP"} <= {
        each["name"] for each in polling["env"]
    }


def test_versions_agree() -> None:
    """The chart installs the version that it lies beside."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == __version__


def test_round_trip_script_runs(service_for_chart: dict[str, str]) -> None:
    """What `helm test` runs in its pod succeeds against a running service."""
    script = (CHART / "round_trip.py").read_text()
    subprocess.run([sys.executable, "-c", script], env=os.environ | service_for_chart, check=True)


@pytest.fixture
def service_for_chart(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A service with tokens, as the test pod's environment names it."""
    from tests.service import start_service

    with start_service(tmp_path, ingest_tokens="send,other", query_tokens="read") as running:
        yield {
            "INGEST": running.ingest_url,
            "QUERY": running.api_url,
            "HOPLINE_INGEST_TOKENS": "send,other",
            "HOPLINE_QUERY_TOKENS": "read",
        }


def _objects(rendering: str) -> list[Any]:
    return [one for one in yaml.safe_load_all(rendering) if one]


def _pods(rendering: str) -> list[Any]:
    found = []
    for one in _objects(rendering):
        if one["kind"] == "Pod":
            found.append(one["spec"])
        elif "template" in one.get("spec", {}):
            found.append(one["spec"]["template"]["spec"])
    assert found
    return found


def _without_helm(rendering: str) -> str:
    """Drop what only Helm reads: its hooks, its labels, and the test."""
    kept = []
    for one in _objects(rendering):
        if "helm.sh/hook" in one["metadata"].get("annotations", {}):
            if one["kind"] != "Job":
                continue
            del one["metadata"]["annotations"]
        text = yaml.safe_dump(one, sort_keys=False, width=100)
        lines = [line for line in text.splitlines() if "helm.sh/chart" not in line]
        kept.append("\n".join(line for line in lines if "managed-by: Helm" not in line))
    return "---\n".join(f"{one}\n" for one in kept)


def _compact(rendering: str) -> str:
    """One object a paragraph, with the dashboards' JSON left out."""
    objects = _objects(rendering)
    for one in objects:
        if "-dashboard-" in one["metadata"]["name"]:
            one["data"] = sorted(one["data"])
    return str(yaml.safe_dump_all(objects, sort_keys=False, width=100, default_flow_style=None))


def _leaves(tree: dict[str, Any], path: str = "") -> Iterator[str]:
    for name, value in tree.items():
        here = f"{path}.{name}".lstrip(".")
        if isinstance(value, dict) and value:
            yield from _leaves(value, here)
        else:
            yield here


def _words(expression: str) -> list[str]:
    return "".join(c if c.isalnum() or c == "_" else " " for c in expression).split()
