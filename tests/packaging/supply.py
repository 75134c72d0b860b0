"""
What others wrote and the image holds: may it be shipped, and is something known against it?

`python -m tests.packaging.supply` is a part of `make lint`. Licences are read from what is
installed. Vulnerabilities are asked of OSV, in one request and at most once a day for the same
versions; where OSV cannot be reached that is said, and nothing fails.
"""

import hashlib
import json
import queue
import re
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "deploy" / "docker" / "requirements.lock"
# as SPDX expressions name them, and the older words of some packages for the same ones
ALLOWED = frozenset({
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MIT-0",
    "MPL-2.0", "PSF-2.0", "Zlib", "3-Clause BSD License", "Apache License 2.0",
    "Apache Software License", "BSD License", "MIT License",
    "Mozilla Public License 2.0 (MPL 2.0)", "Python Software Foundation License",
})  # fmt: skip
_OSV = "https://api.osv.dev/v1/querybatch"
_LIMIT_S = 5.0
_DAY_S = 24 * 3600


class Unreachable(Exception):
    """The database of advisories gives no answer that can be read."""


def packages(lock: str) -> dict[str, str]:
    """Return the versions by name of what a lock holds for the systems that the image is for."""
    found = re.findall(r"^([\w.-]+)==([^\s;\\]+)([^\\\n]*)", lock, re.MULTILINE)
    return {name: version for name, version, condition in found if "win32" not in condition}


def find_licences(package: str) -> list[str]:
    """Return the licences of an installed package, taken apart."""
    told: Any = distribution(package).metadata  # typed without the methods of a message
    expression = told.get("License-Expression") or ""
    if expression:
        return [each.strip("() ") for each in re.split(r" AND | OR ", expression)]
    words = [each for each in told.get_all("Classifier") or () if each.startswith("License ::")]
    return [each.rpartition(" :: ")[2] for each in words] or [str(told.get("License") or "")]


def find_unshippable(names: Iterator[str]) -> list[str]:
    """Return the packages with a licence that is not allowed, each with its licences."""
    found = {name: find_licences(name) for name in names}
    return [f"{name}: {each}" for name, each in found.items() if not set(each) <= ALLOWED]


def find_vulnerable(
    versions: Mapping[str, str], *, url: str = _OSV, limit_s: float = _LIMIT_S
) -> list[str]:
    """
    Return the packages with known vulnerabilities, each with their ids.

    Raises:
        Unreachable: nobody answers, or nothing that can be read.
    """
    asked = [
        {"package": {"name": name, "ecosystem": "PyPI"}, "version": version}
        for name, version in versions.items()
    ]
    body = json.dumps({"queries": asked}).encode()
    try:
        results = json.loads(_post(url, body, limit_s))["results"]
        if len(results) != len(asked):
            raise Unreachable(f"{len(results)} answers to {len(asked)} questions")
        found = [[str(each["id"]) for each in result.get("vulns") or ()] for result in results]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise Unreachable(str(exc)) from exc
    told = zip(versions.items(), found, strict=True)
    return [f"{name} {version}: {', '.join(ids)}" for (name, version), ids in told if ids]


def _post(url: str, body: bytes, limit_s: float) -> bytes:
    """Return the answer to *body*; names that nobody resolves and drops of bytes end as well."""
    answers: queue.Queue[bytes | OSError] = queue.Queue()

    def post() -> None:
        request = urllib.request.Request(url, body, {"content-type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=limit_s) as answer:
                answers.put(answer.read())
        except OSError as exc:
            answers.put(exc)

    threading.Thread(target=post, daemon=True).start()
    try:
        answer = answers.get(timeout=limit_s)
    except queue.Empty:
        raise TimeoutError(f"no answer within {limit_s:g} s") from None
    if isinstance(answer, OSError):
        raise answer
    return answer


def check(lock: Path, noted: Path, *, url: str = _OSV, limit_s: float = _LIMIT_S) -> list[str]:
    """Print what was looked at, and return what is wrong; *noted* remembers a good answer."""
    text = lock.read_text()
    versions = packages(text)
    wrong = [f"licence not allowed: {each}" for each in find_unshippable(iter(versions))]
    print(f"licences of {len(versions)} packages: {len(wrong)} not allowed")
    digest = hashlib.sha256(text.encode()).hexdigest()
    if _is_noted(noted, digest):
        print("vulnerabilities: none known, asked within a day")
        return wrong
    try:
        vulnerable = find_vulnerable(versions, url=url, limit_s=limit_s)
    except Unreachable as exc:
        print(f"vulnerabilities: NOT CHECKED, as {url} cannot be asked: {exc}")
        return wrong
    print(f"vulnerabilities: known of {len(vulnerable)} of {len(versions)} packages")
    if not vulnerable:
        noted.parent.mkdir(parents=True, exist_ok=True)
        noted.write_text(digest)
    return [*wrong, *(f"known to be vulnerable: {each}" for each in vulnerable)]


def _is_noted(noted: Path, digest: str) -> bool:
    if not noted.exists() or noted.read_text() != digest:
        return False
    return time.time() - noted.stat().st_mtime < _DAY_S


if __name__ == "__main__":
    sys.exit("\n".join(check(LOCK, ROOT / "build" / "advisories")) or None)
