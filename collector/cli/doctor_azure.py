"""`hopline doctor --source azure` in the terminal: the checks, one a line, and what to do."""

import asyncio
import sys
import textwrap

from collector.cli.server import Server
from collector.clock import SystemClock
from collector.errors import CollectorError
from collector.identity.paths import request_path
from collector.model import GatewayRecord
from collector.pull.azure_doctor import Check, check_azure
from collector.settings import AzureSettings

_WIDTH = 100
_MARKS = {"ok": "ok    ", "warning": "look  ", "failed": "FAILED"}


def doctor_azure(settings: AzureSettings, server: Server) -> int:
    """Print each check; return 0 if none failed. *server* is asked for one of the records."""
    return asyncio.run(_run(settings, server))


async def _run(settings: AzureSettings, server: Server) -> int:
    has_failed = False
    async for result in check_azure(settings, SystemClock()):
        check = _look_up(result, server) if isinstance(result, GatewayRecord) else result
        has_failed |= check.status == "failed"
        _show(check)
    return 1 if has_failed else 0


def _look_up(record: GatewayRecord, server: Server) -> Check:
    """Ask the running Hopline whether this record is joined with spans."""
    name = f"request {record.record_id}"
    try:
        timeline = server.ask(request_path(record.record_id))
    except CollectorError as exc:
        fix = exc.hint or "it polls every 30 s: ask again, and look at /api/v1/sources"
        return Check(
            name, "failed", f"Hopline at {server.url} does not show it: {exc.message}", fix
        )
    if any(link["to"] for link in timeline["links"]):
        return Check(name, "ok", f"joined with {len(timeline['spans'])} spans of the mesh")
    fix = f"`hopline explain {record.record_id}` says what is expected and has not come"
    return Check(name, "warning", "stored, and not joined with spans", fix)


def _show(check: Check) -> None:
    sys.stdout.write(f"{_MARKS[check.status]}  {check.name}: {check.says}\n")
    if check.fix:
        lines = textwrap.wrap(check.fix, _WIDTH, initial_indent="        -> ")
        sys.stdout.write("\n           ".join(lines) + "\n")
