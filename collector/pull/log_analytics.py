"""
One query to Log Analytics, by azure-monitor-query's asyncio client.

Everything the SDK can raise becomes `SourceDenied` (somebody has to act: which setting, which role)
or `SourceUnavailable` (ask again) here and nowhere else.

Source: Azure/azure-sdk-for-python sdk/monitor/azure-monitor-query 2.0.0;
learn.microsoft.com/azure/azure-monitor/logs/api (errors, timeouts).
"""

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from azure.core.credentials import AccessToken
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError
from azure.core.pipeline import PipelineResponse
from azure.core.pipeline.policies import AsyncRetryPolicy, SansIOHTTPPolicy
from azure.identity.aio import DefaultAzureCredential
from azure.monitor.query import LogsQueryError, LogsQueryPartialResult
from azure.monitor.query.aio import LogsQueryClient

from collector.config import AzureSettings
from collector.errors import ConfigError, PullError, SourceDenied, SourceUnavailable

_SERVER_TIMEOUT_S = 180
_MESSAGE_CHARACTERS = 300
_HINTS = {
    400: "check HOPLINE_AZURE_TABLES, and that API Management's diagnostic setting sends this "
    "category to the workspace in resource-specific mode",
    401: "no valid token: set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET or use a "
    "managed identity; HOPLINE_AZURE_ENDPOINT must be of the same cloud",
    403: "give Hopline's identity the role 'Log Analytics Reader' on the workspace",
    404: "check HOPLINE_AZURE_WORKSPACE_IDS: it takes the workspace's id (a GUID), not its name; "
    "and HOPLINE_AZURE_ENDPOINT",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """
    The rows of one query, by column name.

    `partial_reason` is set when the service did not return all of them. `service_now_ns` is the
    service's own clock (to the second), `None` when it did not say.
    """

    rows: Sequence[dict[str, Any]]
    partial_reason: str = ""
    service_now_ns: int | None = None


class LogAnalyticsClient:
    """
    A thin client; one for all workspaces of an endpoint. `close` ends its connections.

    *credential* is `DefaultAzureCredential` unless given.

    Raises:
        ConfigError: the endpoint is not https and that was not allowed.
    """

    def __init__(
        self, settings: AzureSettings, credential: AsyncTokenCredential | None = None
    ) -> None:
        is_secure = settings.endpoint.startswith("https://")
        if not is_secure and not settings.is_insecure_endpoint_allowed:
            raise ConfigError(
                f"HOPLINE_AZURE_ENDPOINT={settings.endpoint} is not https",
                hint="HOPLINE_AZURE_ALLOW_INSECURE=true permits it, for a local double only",
            )
        # The SDK refuses to send a bearer token over plain http, and a double needs none.
        options = {} if is_secure else {"authentication_policy": SansIOHTTPPolicy[Any, Any]()}
        self._credential = credential or (
            DefaultAzureCredential() if is_secure else _NoCredential()
        )
        # Our own back-off sees the stop signal and shows in the status; the SDK's would hide there.
        self._client = LogsQueryClient(
            self._credential,
            endpoint=settings.endpoint,
            retry_policy=AsyncRetryPolicy.no_retries(),
            **options,
        )

    async def query(self, workspace: str, text: str, span: tuple[datetime, datetime]) -> Answer:
        """
        Ask one question; *span* bounds TimeGenerated.

        Raises:
            SourceDenied: 400, 401, 403, 404 or no credential. An operator has to act.
            SourceUnavailable: throttled (`retry_after_s`), overloaded or unreachable. Retryable.
        """
        seen = _Seen()
        try:
            result = await self._client.query_workspace(
                workspace,
                text,
                timespan=span,
                server_timeout=_SERVER_TIMEOUT_S,
                raw_response_hook=seen.note,
            )
        except (AzureError, ValueError, zlib.error) as exc:  # the SDK inflates and parses itself
            if seen.status == 204:  # the workspace has no data for the table
                return Answer((), service_now_ns=seen.date_ns)
            raise _translate(exc, workspace, seen) from exc
        if isinstance(result, LogsQueryPartialResult):
            reason = _partial_reason(result.partial_error)
            return Answer(_rows(result.partial_data or ()), reason, seen.date_ns)
        if not result.tables:
            raise SourceUnavailable(f"workspace {workspace} answered without a table")
        return Answer(_rows(result.tables), service_now_ns=seen.date_ns)

    async def close(self) -> None:
        await self._client.close()
        await self._credential.close()


class _Seen:
    """What the answer's head said, also when its body could not be read."""

    def __init__(self) -> None:
        self.status = 0
        self.date_ns: int | None = None

    def note(self, response: PipelineResponse[Any, Any]) -> None:
        self.status = response.http_response.status_code
        try:
            date = parsedate_to_datetime(response.http_response.headers.get("Date", ""))
        except ValueError:
            return
        self.date_ns = int(date.replace(tzinfo=date.tzinfo or UTC).timestamp()) * 1_000_000_000


class _NoCredential:
    """Stands where a credential must, for an endpoint that gets none."""

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        return AccessToken("", 1 << 40)

    async def close(self) -> None:
        """Nothing is open."""

    async def __aenter__(self) -> "_NoCredential":
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Nothing is open."""


def _rows(tables: Sequence[Any]) -> list[dict[str, Any]]:
    if not tables:
        return []
    columns = tables[0].columns
    return [dict(zip(columns, row, strict=True)) for row in tables[0].rows]


def _translate(exc: Exception, workspace: str, seen: _Seen) -> PullError:
    if isinstance(exc, HttpResponseError) and exc.status_code and exc.status_code >= 300:
        return _translate_status(exc, exc.status_code, workspace)
    # The SDK wraps whatever comes out of its pipeline; what it was stands in the context.
    if not seen.status and isinstance(exc.__context__ or exc, ClientAuthenticationError):
        return SourceDenied(f"no Azure credential: {_short(exc)}", hint=_HINTS[401])
    if seen.status == 200:
        return SourceUnavailable(f"workspace {workspace} answered what is no result: {_short(exc)}")
    if seen.status:
        return SourceUnavailable(f"workspace {workspace} answered HTTP {seen.status} without JSON")
    return SourceUnavailable(f"workspace {workspace} cannot be reached: {_short(exc)}")


def _translate_status(exc: HttpResponseError, status: int, workspace: str) -> PullError:
    message = f"workspace {workspace} answered HTTP {status}: {_reason(exc)}"
    if status in (408, 429) or status >= 500:
        return SourceUnavailable(message, retry_after_s=_retry_after_s(exc))
    return SourceDenied(message, hint=_HINTS.get(status, ""))


def _reason(exc: HttpResponseError) -> str:
    """Return Azure's code and its innermost message, which is the one that helps."""
    try:
        error = json.loads(exc.response.text() if exc.response is not None else "")["error"]
        code = str(error.get("code", ""))
        while isinstance(error.get("innererror"), dict):
            error = error["innererror"]
        return f"{code} {error.get('message', '')}"[:_MESSAGE_CHARACTERS].strip()
    except (ValueError, KeyError, TypeError, AttributeError):
        return _short(exc)


def _partial_reason(error: LogsQueryError | None) -> str:
    """Return why a result is partial: the SDK's own message stops short of the details."""
    if error is None:
        return "partial result"
    inner: Any = (error.details or [{}])[0]
    while isinstance(inner, Mapping) and isinstance(inner.get("innererror"), Mapping):
        inner = inner["innererror"]
    detail = inner.get("message") if isinstance(inner, Mapping) else ""
    return str(detail or error.message or error.code)[:_MESSAGE_CHARACTERS]


def _retry_after_s(exc: HttpResponseError) -> int | None:
    headers: Mapping[str, str] = getattr(exc.response, "headers", {})
    text = headers.get("Retry-After", "")
    return int(text) if text.isdecimal() and len(text) < 6 else None


def _short(exc: Exception) -> str:
    text = " ".join(str(exc).split())[:_MESSAGE_CHARACTERS]
    return text or type(exc).__name__
