"""
The tools from npm that check the pages: TypeScript, axe, and the packages that are vendored.

`python -m tests.pages.tools` checks the types of the pages' scripts. Without npm there is nothing
to check with, which it says.
"""

import fcntl
import hashlib
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from collector.api.page.routes import find_needed, read_files

FOLDER = Path(__file__).parent
MODULES = FOLDER / "node_modules"
MISSING = "npm is not installed here"


def install() -> Path | None:
    """
    Return the folder of the installed packages; `None` where there is no npm.

    npm checks each package against the hash in package-lock.json.
    """
    npm = shutil.which("npm")
    if npm is None:
        return None
    wanted = hashlib.sha256((FOLDER / "package-lock.json").read_bytes()).hexdigest()
    mark = MODULES / ".installed"
    with (FOLDER / "package.json").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # lint and tests may run at once
        if not mark.exists() or mark.read_text() != wanted:
            command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
            done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
            mark.write_text(wanted)
    return MODULES


def scripts_of(page: str) -> dict[str, int]:
    """Return the scripts without which *page* ("/slow") draws nothing, with their bytes, zipped."""
    files = read_files()
    return {name: len(files[name].zipped) for name in find_needed(files, page)}


@cache
def all_scripts() -> dict[str, int]:
    """Return every script of every page, with its bytes, zipped."""
    files = read_files()
    return {name: len(files[name].zipped) for name in files if name.endswith(".js")}


def check_types() -> int:
    """Check the scripts' types; return 0 when they hold or cannot be checked here."""
    modules = install()
    if modules is None:
        print(f"the types of the pages' scripts are not checked: {MISSING}")
        return 0
    command = [str(modules / ".bin" / "tsc"), "-p", str(FOLDER / "tsconfig.json")]
    return subprocess.run(command).returncode


def strip(folder: Path, out: Path) -> None:
    """Write every script below *folder* to *out* as TypeScript writes it without comments."""
    switches = [
        "--allowJs",
        "--removeComments",
        "--noCheck",
        "--target",
        "esnext",
        "--module",
        "esnext",
    ]
    files = [str(path) for path in folder.rglob("*.js")]
    tsc = str(MODULES / ".bin" / "tsc")
    where = ["--rootDir", str(folder), "--outDir", str(out)]
    subprocess.run([tsc, *switches, *where, *files], cwd=folder, check=False)


if __name__ == "__main__":
    sys.exit(check_types())
