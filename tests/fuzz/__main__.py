"""
Runs the fuzz harnesses: `python -m tests.fuzz [harness…]`, FUZZ_SECONDS each (20), guided by
coverage; with FUZZ_RUNS so many mutated payloads for each decoder instead, whose figures are
written into README.md beside this. FUZZ_SEED=number makes the same payloads again, as long as the
corpus is the same.

A harness is a module of this package with `DECODERS`, the names of what the first byte of an input
chooses between, `TestOneInput(data)` and `seeds()`, and optionally a `WEIGHT` by which its time is
multiplied. What finds new ways stays in `.fuzz/<harness>/`, from where mutation starts.
An input that crashes, or takes over five seconds, is kept under `tests/fuzz/seeds/<harness>/`, from
where the ordinary tests replay it for ever.
"""

import hashlib
import importlib
import os
import pkgutil
import random
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import tests.fuzz
from tests.fuzz._mutation import SLOW_S, Figures, Mutations, run

ROOT = Path(__file__).parents[2]
SECONDS = float(os.environ.get("FUZZ_SECONDS", "20"))
RUNS = int(os.environ.get("FUZZ_RUNS", "0"))
SEED = os.environ.get("FUZZ_SEED")
_IS_CHILD = "HOPLINE_FUZZ_CHILD"
_README = Path(__file__).with_name("README.md")
_BEGIN, _END = "<!-- figures -->\n", "<!-- end -->"
_HEAD = "| decoder | payloads | refused | crashes | seconds | slowest, ms |\n"
_RULE = "|---|---|---|---|---|---|\n"
_ROW = re.compile(r"^\| `([^`]+)`.*\n", re.MULTILINE)
_AT_A_TIME = 5_000


def harness_names() -> list[str]:
    """Return every harness of this package."""
    names = [module.name for module in pkgutil.iter_modules(tests.fuzz.__path__)]
    return sorted(name for name in names if not name.startswith("_"))


def main(chosen: list[str]) -> int:
    """Run each chosen harness, and say which failed."""
    names = chosen or harness_names()
    failed = _mutate(names) if RUNS else [name for name in names if _is_failing(name)]
    print(f"failed: {', '.join(failed)}" if failed else "no crash, nothing slow")
    return len(failed)


def _is_failing(name: str) -> bool:
    """Run a harness in a process of its own; libFuzzer ends the process it runs in."""
    print(f"== {name}", flush=True)
    environment = {**os.environ, _IS_CHILD: name}
    command = [sys.executable, "-m", "tests.fuzz", name]
    return bool(subprocess.run(command, env=environment, cwd=ROOT).returncode)


def _mutate(names: list[str]) -> list[str]:
    """Give every decoder its payloads in turns, and write what each has had after each turn."""
    harnesses = {name: importlib.import_module(f"tests.fuzz.{name}") for name in names}
    mutations = {
        name: Mutations(harness, ROOT / ".fuzz" / name, random.Random(SEED))
        for name, harness in harnesses.items()
    }
    figures: dict[str, Figures] = {}
    failed = set()
    for done in range(0, RUNS, _AT_A_TIME):
        for name, harness in harnesses.items():
            for number, decoder in enumerate(harness.DECODERS):
                payloads = mutations[name].take(number, min(_AT_A_TIME, RUNS - done))
                had = figures.setdefault(f"{name}: {decoder}", Figures())
                if run(harness, payloads, had, _kept_folder(name)):
                    failed.add(name)
        _write_rows(figures)
    return sorted(failed)


def _write_rows(figures: dict[str, Figures]) -> None:
    before, _, rest = _README.read_text().partition(_BEGIN)
    table, _, after = rest.partition(_END)
    rows = {match[1]: match[0] for match in _ROW.finditer(table)}
    for name, had in figures.items():
        rows[name] = (
            f"| `{name}` | {had.payloads:,} | {had.refused:,} | {had.crashes} "
            f"| {had.seconds:,.0f} | {had.slowest_s * 1000:,.0f} |\n"
        )
    lines = "".join(rows[each] for each in sorted(rows))
    _README.write_text(before + _BEGIN + _HEAD + _RULE + lines + _END + after)


def _kept_folder(name: str) -> Path:
    folder = ROOT / "tests/fuzz/seeds" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def fuzz(name: str) -> None:
    """Fuzz one harness, guided by coverage; does not return."""
    import atheris

    with atheris.instrument_imports(include=["collector.decode"]):
        harness = importlib.import_module(f"tests.fuzz.{name}")
    corpus = ROOT / ".fuzz" / name
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in harness.seeds():
        (corpus / hashlib.sha256(seed).hexdigest()[:32]).write_bytes(seed)
    options = [
        f"-max_total_time={round(SECONDS * _weight(harness))}",
        f"-artifact_prefix={_kept_folder(name)}/",
        f"-timeout={SLOW_S:.0f}",
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
