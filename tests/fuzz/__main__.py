"""
Runs the fuzz harnesses: `python -m tests.fuzz [harness…]`, FUZZ_SECONDS each (20).

A harness is a module of this package with `TestOneInput(data)` and `seeds()`, and optionally a
`WEIGHT` by which its time is multiplied. Coverage is guided by atheris; the corpus stays in
`.fuzz/<harness>/`. An input that crashes, or takes over five seconds, is kept under
`tests/fuzz/seeds/<harness>/`, from where the ordinary tests replay it for ever.
"""

import hashlib
import importlib
import os
import pkgutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import atheris

import tests.fuzz

ROOT = Path(__file__).parents[2]
SECONDS = float(os.environ.get("FUZZ_SECONDS", "20"))
_IS_CHILD = "HOPLINE_FUZZ_CHILD"


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
        if subprocess.run(command, env=environment, cwd=ROOT).returncode:
            failed.append(name)
    print(f"failed: {', '.join(failed)}" if failed else "no crash, nothing slow")
    return len(failed)


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
        f"-max_total_time={round(SECONDS * _weight(harness))}",
        f"-artifact_prefix={found}/",
        "-timeout=5",
        "-rss_limit_mb=2048",
        "-max_len=65536",
        "-print_final_stats=1",
        "-verbosity=0",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], harness.TestOneInput)
    atheris.Fuzz()


def _weight(harness: ModuleType) -> float:
    return float(getattr(harness, "WEIGHT", 1))


if __name__ == "__main__":
    if child := os.environ.get(_IS_CHILD):
        fuzz(child)
    else:
        sys.exit(main(sys.argv[1:]))
