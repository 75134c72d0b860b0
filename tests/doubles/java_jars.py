"""
Java libraries as their makers publish them, fetched once with Maven into a cache folder.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

_NAMES = ("groupId", "artifactId", "version")
_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>hopline</groupId><artifactId>jars-for-tests</artifactId><version>1</version>
  <packaging>pom</packaging>
  <dependencyManagement><dependencies>{}</dependencies></dependencyManagement>
  <dependencies>{}</dependencies>
</project>
"""


class JarsUnavailableError(Exception):
    """Why there are no such jars on this machine."""


def obtain_jars(name: str, dependencies: Sequence[str], bom: str = "") -> Path:
    """
    Return the folder *name* of these jars (`group:artifact:version`) and all that they need.

    Versions that are left out are those of *bom*.

    Raises:
        JarsUnavailableError: no Java, no Maven, or the jars cannot be fetched.
    """
    for tool in ("java", "javac", "mvn"):
        if shutil.which(tool) is None:
            raise JarsUnavailableError(f"{tool} is not installed")
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "hopline"
    folder = cache / name
    if folder.exists():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    managed = _dependency(bom, "<type>pom</type><scope>import</scope>") if bom else ""
    pom = _POM.format(managed, "".join(map(_dependency, dependencies)))
    with tempfile.TemporaryDirectory(dir=cache) as work:
        (Path(work) / "pom.xml").write_text(pom)
        fetch = ["mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib"]
        try:
            done = subprocess.run(fetch, cwd=work, capture_output=True, text=True, timeout=300)
        except subprocess.TimeoutExpired:
            raise JarsUnavailableError(f"Maven needs too long to fetch {name}") from None
        if done.returncode:
            raise JarsUnavailableError(f"Maven cannot fetch {name}: {done.stdout.strip()[:200]}")
        (Path(work) / "lib").replace(folder)
    return folder


def _dependency(names: str, more: str = "") -> str:
    fields = zip(_NAMES, names.split(":"), strict=False)
    text = "".join(f"<{field}>{value}</{field}>" for field, value in fields)
    return f"<dependency>{text}{more}</dependency>"
