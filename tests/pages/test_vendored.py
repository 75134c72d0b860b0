"""The libraries beside the pages are what was published, and nothing needs a loose policy."""

import json
import re
from pathlib import Path

import pytest

from collector.api.page.routes import PAGES, read_scripts
from tests.pages import tools

PAGE = Path(__file__).parents[2] / "collector" / "api" / "page"
VENDOR = PAGE / "vendor"
# A script with a global, to which the server gives the export that modules need.
UPLOT = "vendor/uplot/uPlot.iife.min.js"
LIBRARIES = json.loads((VENDOR / "versions.json").read_text())


def test_every_vendored_file_is_published() -> None:
    """Byte by byte what npm serves under the hash of that version."""
    modules = tools.install()
    if modules is None:
        pytest.skip(f"vendored files are not compared: {tools.MISSING}")
    for library in LIBRARIES:
        for name, origin in library["files"].items():
            published = (modules / library["package"] / origin).read_bytes()
            assert (VENDOR / name).read_bytes() == published, name


def test_hashes_and_versions_are_those_of_the_lock() -> None:
    """What the wheel says of a library is what the tools are locked to."""
    packages = json.loads((tools.FOLDER / "package-lock.json").read_text())["packages"]
    for library in LIBRARIES:
        locked = packages[f"node_modules/{library['package']}"]
        assert (library["version"], library["integrity"]) == (
            locked["version"],
            locked["integrity"],
        )
        assert library["license"] == locked["license"]


def test_nothing_else_is_vendored() -> None:
    """Every file has an origin, except the types; every library comes with its licence."""
    listed = {name for library in LIBRARIES for name in library["files"]}
    there = {path.relative_to(VENDOR).as_posix() for path in VENDOR.rglob("*") if path.is_file()}
    own = {name for name in there if name.endswith((".d.ts", ".d.mts"))} | {"versions.json"}
    assert there - own == listed
    for library in LIBRARIES:
        assert any("LICENSE" in name for name in library["files"])


def test_scripts_fit_the_policy() -> None:
    """No script evaluates text, writes markup, or names another host."""
    for path in PAGE.rglob("*"):
        if path.suffix not in (".js", ".mjs"):
            continue
        text = path.read_text()
        for word in ("eval(", "new Function", "document.write", "outerHTML"):
            assert word not in text, f"{path.name}: {word}"
        if "vendor" not in path.parts:
            assert "innerHTML" not in text, path.name
            # A namespace, and the address that the reader's own browser has.
            addresses = text.replace("http://www.w3.org/2000/svg", "").replace("http://${", "")
            assert "http://" not in addresses, path.name
            assert "https://" not in addresses, path.name


def test_served_scripts_do_what_the_files_do(tmp_path: Path) -> None:
    """Comments and indents stay at home and nothing else does, as TypeScript reads both."""
    if tools.install() is None:
        pytest.skip(f"scripts are not compared: {tools.MISSING}")
    served = {name: text for name, text in read_scripts().items() if name.endswith(".js")}
    for name, body in served.items():
        for folder, text in (("served", body), ("written", (PAGE / name).read_text())):
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    for folder in ("served", "written"):
        tools.strip(tmp_path / folder, tmp_path / "out" / folder)
    for name, body in served.items():
        if name == UPLOT:
            assert body == (PAGE / name).read_text() + "export default uPlot;\n"
            continue
        sent, written = ((tmp_path / "out" / which / name) for which in ("served", "written"))
        assert sent.read_text().split() == written.read_text().split(), name
        assert "/**" not in body, name


def test_server_and_script_know_the_same_pages() -> None:
    """Each page is served under its address, and its script is loaded with it."""
    main = (PAGE / "main.js").read_text()
    listed = re.findall(r'segment: "(\w*)".* Page: (\w+)', main)
    lazy = dict(re.findall(r'const (\w+) = later\(\(\) => import\("\./([^"]+)"\)', main))
    assert {f"/{segment}": lazy.get(name, "main.js") for segment, name in listed} == PAGES


def test_types_hold() -> None:
    """The scripts' JSDoc types are checked as strictly as the Python's."""
    if tools.install() is None:
        pytest.skip(f"types are not checked: {tools.MISSING}")
    assert tools.check_types() == 0
