"""One server: the systemd unit is hardened, and compose's parts fit together."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from collector.config import Settings
from collector.demo.apim import WORKSPACE
from tests.packaging.tools import ROOT, fetched, need, run

UNIT = ROOT / "deploy" / "systemd" / "hopline.service"
ENVIRONMENT_FILE = ROOT / "deploy" / "systemd" / "hopline.env"
COMPOSE = ROOT / "deploy" / "compose.yaml"
COMPOSE_GO = "github.com/compose-spec/compose-go/v2@v2.16.2"
KNOWN = {f"HOPLINE_{name.upper()}" for name in Settings.model_fields}
_MOST_EXPOSED = 2.0  # of 10; systemd calls up to 1.9 "OK", a unit without hardening has 9.6


def test_unit_is_hardened() -> None:
    """Systemd's own figure for how exposed the service is stays low."""
    analyze = need("systemd-analyze", "it reckons how exposed a unit is")
    printed = run([analyze, "security", "--offline=yes", "--no-pager", UNIT])
    found = re.search(r"Overall exposure level for hopline.service: ([\d.]+)", printed)
    assert found, printed
    assert float(found[1]) < _MOST_EXPOSED


def test_unit_has_no_directive_that_systemd_does_not_know() -> None:
    """The only complaint is that Hopline is not installed under /opt here."""
    analyze = need("systemd-analyze", "it checks a unit's directives")
    done = subprocess.run([analyze, "verify", UNIT], capture_output=True, text=True, check=False)
    lines = [line for line in done.stderr.splitlines() if "hopline.service" in line]
    assert [
        line for line in lines if "/opt/hopline/bin/hopline is not executable" not in line
    ] == []


def test_environment_file_names_settings() -> None:
    """Each line of the environment file is a setting, commented out or not."""
    names = re.findall(r"^#?([A-Z_]+)=", ENVIRONMENT_FILE.read_text(), re.MULTILINE)
    assert len(names) >= 5
    assert set(names) <= KNOWN


def test_compose_names_settings_and_files_that_exist() -> None:
    """Variables are settings, mounted files lie in the repository, ports are on loopback."""
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    assert set(services) == {
        "hopline", "clickhouse", "collector", "shop", "prometheus", "grafana",
    }  # fmt: skip
    settings = services["hopline"]["environment"]
    assert set(settings) <= KNOWN
    assert settings["HOPLINE_AZURE_WORKSPACE_IDS"] == WORKSPACE
    named = set(yaml.safe_load(COMPOSE.read_text())["volumes"])
    for service in services.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source.startswith(".") or source in named, source
            if source.startswith("."):
                assert (COMPOSE.parent / source).exists(), source
        assert set(service.get("depends_on", {})) <= set(services)


def test_compose_file_is_what_the_specification_allows() -> None:
    """Every key and value of it is one that the schema of Docker Compose's own loader has."""
    go = need("go", "it fetches the schema with the loader's module")
    folder = fetched("compose", COMPOSE_GO, lambda folder: _keep_schema(go, folder), "a Go module")
    check = Draft202012Validator(json.loads((folder / "schema.json").read_text())).iter_errors
    composed = _yaml(COMPOSE)
    assert [error.message for error in check(composed)] == []
    composed["services"]["hopline"]["volume"] = []
    assert ["'volume' was unexpected" in error.message for error in check(composed)] == [True]


def _keep_schema(go: str, folder: Path) -> None:
    found = json.loads(run([go, "mod", "download", "-json", COMPOSE_GO], cwd=folder))
    shutil.copyfile(Path(found["Dir"]) / "schema" / "compose-spec.json", folder / "schema.json")


def test_grafana_is_provisioned_from_the_dashboards() -> None:
    """Grafana finds a folder that is mounted, and data sources of kinds that exist."""
    folder = COMPOSE.parent / "grafana"
    (provider,) = _yaml(folder / "dashboards" / "hopline.yaml")["providers"]
    mounts = yaml.safe_load(COMPOSE.read_text())["services"]["grafana"]["volumes"]
    assert f"../dashboards:{provider['options']['path']}:ro" in mounts
    sources = _yaml(folder / "datasources" / "hopline.yaml")["datasources"]
    kinds = {"grafana-clickhouse-datasource", "jaeger", "prometheus", "tempo"}
    assert {source["type"] for source in sources} == kinds
    (scrape,) = _yaml(COMPOSE.parent / "docker" / "prometheus.yaml")["scrape_configs"]
    assert scrape["static_configs"] == [{"targets": ["hopline:8080"]}]


def test_shop_of_compose_feeds_a_hopline_beside_it(tmp_path: Path) -> None:
    """In a network of their own, on compose's ports, its requests come out joined."""
    unshare = need("unshare", "it gives the two a network of their own")
    if os.geteuid() != 0 or subprocess.run([unshare, "--net", "true"], check=False).returncode:
        pytest.skip("this user may not make a network namespace")
    settings = yaml.safe_load(COMPOSE.read_text())["services"]["hopline"]["environment"]
    environment = {k: v for k, v in settings.items() if k.startswith("HOPLINE_AZURE_")}
    environment["HOPLINE_AZURE_ENDPOINT"] = "http://127.0.0.1:9001"
    environment["HOPLINE_DATA_DIR"] = str(tmp_path / "data")
    process = subprocess.Popen(
        [unshare, "--net", sys.executable, "-m", "tests.packaging.test_server"],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    try:
        printed, _ = process.communicate(timeout=120)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0
    assert json.loads(printed.splitlines()[-1])["joined"] >= 3


def _watch_both() -> int:
    """Run shop and Hopline in this network until some requests are joined (the test's child)."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    commands = (["collector", "serve"], ["collector.demo.alone"])
    children = [subprocess.Popen([sys.executable, "-m", *command]) for command in commands]
    url = "http://127.0.0.1:8080/api/v1/requests?gateway=azure-apim&joined=true"
    joined = 0
    deadline = time.monotonic() + 90
    try:
        while joined < 3 and time.monotonic() < deadline:
            time.sleep(0.5)
            try:
                with urllib.request.urlopen(url, timeout=5) as response:
                    joined = len(json.load(response)["requests"])
            except OSError:
                continue
    finally:
        for child in children:
            child.terminate()
        for child in children:
            child.wait(30)
    print(json.dumps({"joined": joined}))
    return 0


def _yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


if __name__ == "__main__":
    sys.exit(_watch_both())
