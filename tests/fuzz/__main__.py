"""
Runs the fuzz harnesses: `python -m tests.fuzz [harness…]`, FUZZ_SECONDS each (20), or FUZZ_RUNS
payloads each, whose figures are written into README.md beside this.

A harness is a module of this package with `TestOneInput(data)` and `seeds()`, and optionally a
`WEIGHT` by which its time is multiplied. Coverage is guided by atheris; the corpus stays in
`.fuzz/<harness>/`. An input that crashes, or takes over five seconds, is kept under
`tests/fuzz/seeds/<harness>/`, from where the ordinary tests replay it for ever.
"""

import hashlib
import importlib
import json
import os
import pkgutil
import re
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import atheris

import tests.fuzz

ROOT = Path(__file__).parents[2]
SECONDS = float(os.environ.get("FUZZ_SECONDS", "20"))
RUNS = int(os.environ.get("FUZZ_RUNS", "0"))
_IS_CHILD = "HOPLINE_FUZZ_CHILD"
_README = Path(__file__).with_name("README.md")
_BEGIN, _END = "<!-- figures -->\n", "<!-- end -->"
_HEAD = "| harness | payloads | refused | crashes | seconds | slowest, ms |\n"
_RULE = "|---|---|---|---|---|---|\n"
_FIGURES = ("payloads", "refused", "seconds", "slowest_ms")
_ROW = re.compile(r"^\| `(\w+)`.*\n", re.MULTILINE)


def harness_names() -> list[str]:
    """Return every harness of this package."""
    names = [module.name for module in pkgutil.iter_modules(tests.fuzz.__path__)]
    return sorted(name for name in names if not name.startswith("_"))


def main(chosen: list[str]) -> int:
    """Run each chosen harness in a process of its own; libFuzzer ends the process it runs in."""
    failed = []
    for name in chosen or harness_names():
        print(f"== {name}", flush=True)
        environment = {**os.environ, _IS_CHILD: name}
        command = [sys.executable, "-m", "tests.fuzz", name]
        has_failed = bool(subprocess.run(command, env=environment, cwd=ROOT).returncode)
        if has_failed:
            failed.append(name)
        if RUNS:
            _write_row(name, has_failed=has_failed)
    print(f"failed: {', '.join(failed)}" if failed else "no crash, nothing slow")
    return len(failed)


class _Counted:
    """Calls a harness and keeps the figures: libFuzzer ends the process without a word to us."""

    def __init__(self, harness: ModuleType, path: Path) -> None:
        self._harness = harness
        self._path = path
        self._began = time.monotonic()
        self._payloads = self._refused = 0
        self._slowest_s = 0.0

    def __call__(self, data: bytes) -> None:
        began = time.thread_time()
        self._refused += not self._harness.TestOneInput(data)
        self._slowest_s = max(self._slowest_s, time.thread_time() - began)
        self._payloads += 1
        if self._payloads % 500 == 0 or self._payloads == RUNS:
            figures = {
                "payloads": self._payloads,
                "refused": self._refused,
                "seconds": round(time.monotonic() - self._began),
                "slowest_ms": round(self._slowest_s * 1000),
            }
            self._path.write_text(json.dumps(figures))


def _figures_path(name: str) -> Path:
    return ROOT / ".fuzz" / f"{name}.json"


def _write_row(name: str, *, has_failed: bool) -> None:
    path = _figures_path(name)
    # a crash within the first payloads leaves none
    found = json.loads(path.read_text()) if path.exists() else dict.fromkeys(_FIGURES, 0)
    row = (
        f"| `{name}` | {found['payloads']:,} | {found['refused']:,} | {int(has_failed)} "
        f"| {found['seconds']:,} | {found['slowest_ms']:,} |\n"
    )
    before, _, rest = _README.read_text().partition(_BEGIN)
    table, _, after = rest.partition(_END)
    rows = {match[1]: match[0] for match in _ROW.finditer(table + row)}
    lines = "".join(rows[each] for each in sorted(rows))
    _README.write_text(before + _BEGIN + _HEAD + _RULE + lines + _END + after)


def fuzz(name: str) -> None:
    """Fuzz one harness; does not return."""
    with atheris.instrument_imports(include=["collector.decode"]):
        harness = importlib.import_module(f"tests.fuzz.{name}")
    corpus = ROOT / ".fuzz" / name
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in harness.seeds():
        (corpus / hashlib.sha256(seed).hexdigest()[:32]).write_bytes(seed)
    found = ROOT / "tests/fuzz/seeds" / name
    found.mkdir(parents=True, exist_ok=True)
    options = [
        f"-runs={RUNS}" if RUNS else f"-max_total_time={round(SECONDS * _weight(harness))}",
        f"-artifact_prefix={found}/",
        "-timeout=5",
        "-rss_limit_mb=2048",
        "-max_len=65536",
        "-print_final_stats=1",
        "-verbosity=0",
    ]
    counted = _Counted(harness, _figures_path(name))
    atheris.Setup([sys.argv[0], *options, str(corpus)], counted)
    atheris.Fuzz()


def _weight(harness: ModuleType) -> float:
    return float(getattr(harness, "WEIGHT", 1))


if __name__ == "__main__":
    if child := os.environ.get(_IS_CHILD):
        fuzz(child)
    else:
        sys.exit(main(sys.argv[1:]))
