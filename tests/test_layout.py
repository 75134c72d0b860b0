"""The tree keeps its shape: names and the opening words of every room."""

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    path
    for folder in ("collector", "tests")
    for path in (ROOT / folder).rglob("*.py")
    if not path.name.endswith("_pb2.py")
)
VAGUE = {"utils", "util", "helpers", "common", "base", "core", "manager", "service_utils"}
ALLOWED_TOP_LEVEL = {
    "pyproject.toml",
    "collector",
    "dashboards",
    "deploy",
    "tests",
    "README.md",
    "Makefile",
    "LICENSE",
    "CHANGELOG.md",
    "requirements.lock",
}


def _relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_no_module_has_a_vague_name() -> None:
    """A module is named for what happens to the datum in it."""
    assert not [path for path in SOURCES if path.stem in VAGUE]


@pytest.mark.parametrize(
    "path", [p for p in SOURCES if p.parts[len(ROOT.parts)] == "collector"], ids=_relative
)
def test_public_things_have_docstrings(path: Path) -> None:
    """Modules, public classes and public functions say what they are for."""
    tree = ast.parse(path.read_text())
    missing = [] if ast.get_docstring(tree) else ["module"]
    missing += [
        node.name
        for node in tree.body
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and not (node.name.startswith("_") or ast.get_docstring(node) or _has_help(node))
    ]
    assert not missing


def _has_help(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Tell whether a command's decorator says what it is for: its readers see that text."""
    return any(
        ast.unparse(call.func).endswith((".command", ".group"))
        and any(word.arg == "help" for word in call.keywords)
        for call in node.decorator_list
        if isinstance(call, ast.Call)
    )


@pytest.mark.parametrize(
    "package",
    [
        "receive",
        "pull",
        "decode",
        "store",
        "stitch",
        "query",
        "api",
        "cli",
        "demo",
        "identity",
        "wire",
    ],
)
def test_room_opens_with_its_contract(package: str) -> None:
    """Each room's `__init__` says what goes in and out and where to start reading."""
    text = (ROOT / "collector" / package / "__init__.py").read_text()
    for heading in ("In:", "Out:", "May import:", "Never:", "Read first:"):
        assert heading.lower() in text.lower(), heading


def test_top_level_holds_only_what_was_asked_for() -> None:
    """Nothing but the agreed folders and files lies at the top of the repository."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    names = {line.split("/")[0] for line in listed.stdout.splitlines()}
    assert not {name for name in names if not name.startswith(".")} - ALLOWED_TOP_LEVEL
