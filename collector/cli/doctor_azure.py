"""`hopline doctor --source azure` in the terminal: the checks, one a line, and what to do."""

import asyncio
import json
import sys
import textwrap
from urllib.parse import quote

from collector.cli.fetch import fetch
from collector.clock import SystemClock
from collector.config import AzureSettings
from collector.errors import CollectorError
from collector.model import GatewayRecord
from collector.pull.azure_doctor import Check, check_azure

_WIDTH = 100
_MARKS = {"ok": "ok    ", "warning": "look  ", "failed": "FAILED"}


def doctor_azure(settings: AzureSettings, *, url: str, token: str) -> int:
    """
    Print each check; return 0 if none failed.

    *url* and *token* are of a running Hopline, which is asked for one of the records.
    """
    return asyncio.run(_run(settings, url, token))


async def _run(settings: AzureSettings, url: str, token: str) -> int:
    has_failed = False
    async for result in check_azure(settings, SystemClock()):
        check = _look_up(result, url, token) if isinstance(result, GatewayRecord) else result
        has_failed |= check.status == "failed"
        _show(check)
    return 1 if has_failed else 0


def _look_up(record: GatewayRecord, url: str, token: str) -> Check:
    """Ask the running Hopline whether this record is joined with spans."""
    name = f"request {record.record_id}"
    try:
        path = f"/api/v1/requests/{quote(record.record_id, safe='')}"
        timeline = json.loads(fetch(url, path, token=token))
    except CollectorError as exc:
        fix = exc.hint or "it polls every 30 s: ask again, and look at /api/v1/sources"
        return Check(name, "failed", f"Hopline at {url} does not show it: {exc.message}", fix)
    if any(link["to"] for link in timeline["links"]):
        return Check(name, "ok", f"joined with {len(timeline['spans'])} spans of the mesh")
    fix = f"`hopline explain {record.record_id}` says what is expected and has not come"
    return Check(name, "warning", "stored, and not joined with spans", fix)


def _show(check: Check) -> None:
    sys.stdout.write(f"{_MARKS[check.status]}  {check.name}: {check.says}\n")
    if check.fix:
        lines = textwrap.wrap(check.fix, _WIDTH, initial_indent="        -> ")
        sys.stdout.write("\n           ".join(lines) + "\n")
