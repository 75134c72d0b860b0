"""The built wheel, an environment that holds nothing but it, and the tools, once for all tests."""

import sys
from pathlib import Path

import pytest

from tests.packaging.tools import ROOT, run

EPOCH = {"SOURCE_DATE_EPOCH": "1764374400"}


def build_wheel(folder: Path) -> Path:
    """Build sdist and wheel as a release does; return the wheel."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT]
    run(command, environment=EPOCH)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree."""
    return build_wheel(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of an environment into which nothing but the wheel was installed."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    run([sys.executable, "-m", "venv", folder])
    # the locked versions, which the image has too; compiling all of them would take half the time
    constraint = ROOT / "deploy" / "docker" / "requirements.lock"
    pip = [folder / "bin" / "pip", "install", "--quiet", "--no-compile", "--prefer-binary"]
    run([*pip, "--require-hashes", "-r", constraint])
    run([*pip, "--no-deps", wheel])
    run([folder / "bin" / "pip", "check"])
    return folder / "bin"
