"""
Java's senders: the programs beside this, and the libraries that Maven fetches once into a cache.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

SPRING_BOOT = {
    "3.5.0": (
        "org.springframework.boot:spring-boot-starter-actuator",
        "io.micrometer:micrometer-tracing-bridge-brave",
        "io.zipkin.reporter2:zipkin-reporter-brave",
    ),
    "4.0.0": ("org.springframework.boot:spring-boot-starter-zipkin",),
}
JOBS = 20  # spans that OtelJdkSender and SpringReporter make, named job-0 and so on
_OPENTELEMETRY = "1.49.0"
_JAVA = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
_PROGRAMS = Path(__file__).with_name("java")
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


def obtain_spring_boot(version: str) -> Path:
    """Return the libraries of `SpringReporter`."""
    bom = f"org.springframework.boot:spring-boot-dependencies:{version}"
    return obtain_jars(f"spring-boot-{version}-zipkin", SPRING_BOOT[version], bom)


def obtain_opentelemetry() -> Path:
    """Return the libraries of `OtelJdkSender`."""
    group = "io.opentelemetry:opentelemetry"
    libraries = obtain_jars(
        f"opentelemetry-jdk-sender-{_OPENTELEMETRY}",
        [
            f"{group}-{each}:{_OPENTELEMETRY}"
            for each in ("sdk", "exporter-otlp", "exporter-sender-jdk")
        ],
    )
    for other in libraries.glob("opentelemetry-exporter-sender-okhttp-*.jar"):
        other.unlink()  # with both on the path the SDK takes this one
    return libraries


def spring_arguments(endpoint: str) -> list[str]:
    """Return what tells `SpringReporter` where to send, in both generations' words."""
    settings = (
        "spring.main.web-application-type=none",
        "spring.application.name=jobs",
        "management.tracing.sampling.probability=1.0",
        f"management.zipkin.tracing.endpoint={endpoint}",
        f"management.tracing.export.zipkin.endpoint={endpoint}",
    )
    return [f"--{setting}" for setting in settings]


def compile_java(program: str, work: Path, libraries: Path | None = None) -> list[str]:
    """
    Compile a program and return the command that runs it, without its arguments.

    Raises:
        JarsUnavailableError: there is no Java.
    """
    if shutil.which("javac") is None:
        raise JarsUnavailableError("there is no Java here")
    path = f"{work}:{libraries}/*" if libraries else str(work)
    source = str(_PROGRAMS / f"{program}.java")
    subprocess.run(["javac", "-proc:none", "-cp", path, "-d", str(work), source], check=True)
    return [*_JAVA, "-cp", path, program]


def _dependency(names: str, more: str = "") -> str:
    fields = zip(_NAMES, names.split(":"), strict=False)
    text = "".join(f"<{field}>{value}</{field}>" for field, value in fields)
    return f"<dependency>{text}{more}</dependency>"
