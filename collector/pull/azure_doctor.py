"""
`hopline doctor --source azure`: each step from an identity to a row with a usable id, checked.

Steps stop where the next ones cannot hold. Nothing is stored and no watermark moves.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from collector.clock import Clock
from collector.decode.timestamps import parse_timestamp
from collector.errors import ConfigError, PullError, SearchOnly
from collector.model import GatewayRecord
from collector.pull.log_analytics import Answer, LogAnalyticsClient
from collector.pull.tables import (
    INGESTED_AT,
    ROW,
    PulledTable,
    get_table,
    search_time_span,
    time_span,
)
from collector.settings import AzureSettings
from collector.timestamps import NS_PER_S

_WINDOWS_S = (900, 3600, 6 * 3600, 24 * 3600)  # looked into until one of them holds a row
_SAMPLE_ROWS = 200
_LATE_S = 3600
_HEADER_COLUMNS = ("RequestHeaders", "BackendRequestHeaders")

Status = Literal["ok", "warning", "failed"]


@dataclass(frozen=True, slots=True)
class Check:
    """One step: what was looked at, how it went, what to do when it did not."""

    name: str
    status: Status
    says: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Sample:
    """The newest rows of a table: as they came, and the records that they became."""

    rows: Sequence[dict[str, Any]]
    records: Sequence[GatewayRecord]
    newest_age_s: float
    is_search: bool


async def check_azure(
    settings: AzureSettings, clock: Clock, client: LogAnalyticsClient | None = None
) -> AsyncIterator[Check | GatewayRecord]:
    """
    Yield the checks in their order, and last a record to look for in the store, if there is one.

    Raises:
        ConfigError: a table is not known, or the endpoint is not https.
    """
    if not settings.scopes:
        yield Check(
            "settings",
            "failed",
            "nothing is polled",
            "set HOPLINE_AZURE_WORKSPACE_IDS: `az monitor log-analytics workspace show "
            "--query customerId` prints the id",
        )
        return
    tables = [get_table(name) for name in settings.tables]
    yield Check("settings", "ok", f"{', '.join(settings.tables)} at {settings.endpoint}")
    client = client or LogAnalyticsClient(settings)
    found: GatewayRecord | None = None
    try:
        try:
            await client.check_token()
        except PullError as exc:
            yield _failure("credential", exc)
            return
        yield Check("credential", "ok", "Entra ID issued a token")
        for scope in settings.scopes:
            for table in tables:
                async for result in _check_table(client, scope, table, clock):
                    if isinstance(result, Check):
                        yield result
                    else:
                        found = found or result
    finally:
        await client.close()
    if found:
        yield found


async def _check_table(
    client: LogAnalyticsClient, scope: str, table: PulledTable, clock: Clock
) -> AsyncIterator[Check | GatewayRecord]:
    name = f"{table.name} of {scope}"
    try:
        sample = await _newest(client, scope, table, clock)
    except PullError as exc:
        yield _failure(name, exc)
        return
    if sample is None:
        yield Check(
            name,
            "failed",
            "the table answers, but has no rows from the last 24 hours",
            "send a request through the gateway and wait 10 minutes; if none comes, its diagnostic "
            "setting lacks this category, or sends it to another workspace",
        )
        return
    plan = "on the Basic or Auxiliary plan, polled every 5 minutes" if sample.is_search else ""
    yield _age_check(name, sample, plan)
    if table.name == "ApiManagementGatewayLogs":
        yield _header_check(name, sample)
    yield _id_check(name, sample)
    for record in sample.records:
        if record.trace_id:
            yield record
            return


async def _newest(
    client: LogAnalyticsClient, scope: str, table: PulledTable, clock: Clock
) -> Sample | None:
    """Return rows of the smallest window before now that holds some."""
    now_ns = clock.now_ns()
    is_search = False
    for seconds in _WINDOWS_S:
        start_ns = now_ns - seconds * NS_PER_S
        try:
            answer = await _ask(client, scope, table, (start_ns, now_ns), is_search)
        except SearchOnly:
            if is_search or scope.startswith("/"):
                raise
            is_search = True
            answer = await _ask(client, scope, table, (start_ns, now_ns), is_search)
        if answer.rows:
            return _sample(table, answer.rows, now_ns, is_search)
    return None


async def _ask(
    client: LogAnalyticsClient,
    scope: str,
    table: PulledTable,
    window_ns: tuple[int, int],
    is_search: bool,
) -> Answer:
    text = (table.search_query if is_search else table.query)(*window_ns, _SAMPLE_ROWS)
    span = (search_time_span if is_search else time_span)(*window_ns)
    return await client.query(scope, text, span, is_search=is_search)


def _sample(
    table: PulledTable, packed: Sequence[dict[str, Any]], now_ns: int, is_search: bool
) -> Sample:
    rows = [orjson.loads(row) if isinstance(row := one[ROW], str) else row for one in packed]
    newest_ns = max(parse_timestamp(one[INGESTED_AT]).ns for one in packed)
    records = table.decode(rows).records
    return Sample(rows, records, (now_ns - newest_ns) / NS_PER_S, is_search)


def _age_check(name: str, sample: Sample, plan: str) -> Check:
    says = f"the newest row is {sample.newest_age_s / 60:.0f} min old"
    if plan:
        says += f"; {plan}"
    if sample.newest_age_s > _LATE_S:
        fix = "no traffic, or Azure is late: compare with the gateway's metric Requests"
        return Check(name, "warning", says, fix)
    return Check(name, "ok", says)


def _header_check(name: str, sample: Sample) -> Check:
    logged = [row for row in sample.rows if any(row.get(column) for column in _HEADER_COLUMNS)]
    says = f"{len(logged)} of {len(sample.rows)} rows carry logged headers"
    if logged:
        return Check(name, "ok", says)
    fix = (
        "the API diagnostic `azuremonitor` logs no headers: deploy main.bicep, or name "
        "`traceparent` under Frontend Request and Backend Request"
    )
    return Check(name, "failed", says, fix)


def _id_check(name: str, sample: Sample) -> Check:
    if not sample.records:
        return Check(name, "failed", "no row can be read", "report one, with its values changed")
    usable = sum(1 for record in sample.records if record.trace_id)
    share = usable / len(sample.records)
    says = f"{share:.0%} of {len(sample.records)} records have a trace id"
    if share >= 0.9:  # noqa: PLR2004
        return Check(name, "ok", says)
    fix = (
        "set httpCorrelationProtocol to W3C and log `traceparent` (main.bicep does both), or "
        "include the policy fragments in every API"
    )
    return Check(name, "failed" if not usable else "warning", says, fix)


def _failure(name: str, exc: PullError | ConfigError) -> Check:
    return Check(name, "failed", exc.message, exc.hint or "")
