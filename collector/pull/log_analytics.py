"""
One query to Log Analytics, by azure-monitor-query's asyncio client.

Everything the SDK can raise becomes `SourceDenied` (somebody has to act: which setting, which role)
or `SourceUnavailable` (ask again) here and nowhere else.

Source: Azure/azure-sdk-for-python sdk/monitor/azure-monitor-query 2.0.0;
learn.microsoft.com/azure/azure-monitor/logs/api (errors, timeouts).
"""

import json
import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

from azure.core.credentials import AccessToken
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError
from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import AsyncRetryPolicy, SansIOHTTPPolicy
from azure.identity.aio import DefaultAzureCredential
from azure.monitor.query import LogsQueryError, LogsQueryPartialResult
from azure.monitor.query.aio import LogsQueryClient

from collector.errors import (
    ConfigError,
    PullError,
    SearchOnly,
    SourceDenied,
    SourceUnavailable,
)
from collector.pull.credentials import credential_hint
from collector.settings import AzureSettings
from collector.timestamps import NS_PER_S

_SEARCH_ONLY = "UnsupportedApiQueryValidationError"
"""Azure's inner code for a table on the Basic or Auxiliary plan asked by `/query`."""

_SERVER_TIMEOUT_S = 180
_MESSAGE_CHARACTERS = 300
_HINTS = {
    400: "check HOPLINE_AZURE_TABLES, and that API Management's diagnostic setting sends this "
    "category to the workspace in resource-specific mode",
    401: "the token is not valid here: check AZURE_TENANT_ID and AZURE_CLIENT_ID; "
    "HOPLINE_AZURE_CLOUD, or HOPLINE_AZURE_ENDPOINT, must be of the identity's own cloud",
    403: "give Hopline's identity the role 'Log Analytics Reader' on the workspace",
    404: "check HOPLINE_AZURE_WORKSPACE_IDS: it takes the workspace's id (a GUID), not its name; "
    "and HOPLINE_AZURE_ENDPOINT",
}
_RESOURCE_HINTS = {
    403: "give Hopline's identity the role 'Reader' on the resource, and set the workspace's "
    "access control mode to 'Use resource or workspace permissions'",
    404: "check HOPLINE_AZURE_RESOURCE_IDS: it takes what `az resource show` prints as `id`",
}
_NOT_BY_RESOURCE = (
    "a table on the Basic or Auxiliary plan cannot be queried by resource: "
    "name its workspace in HOPLINE_AZURE_WORKSPACE_IDS"
)


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
        self._endpoint = settings.endpoint
        is_secure = settings.endpoint.startswith("https://")
        if not is_secure and not settings.is_insecure_endpoint_allowed:
            raise ConfigError(
                f"HOPLINE_AZURE_ENDPOINT={settings.endpoint} is not https",
                hint="HOPLINE_AZURE_ALLOW_INSECURE=true permits it, for a local double only",
            )
        # The SDK refuses to send a bearer token over plain http, and a double needs none.
        options = {} if is_secure else {"authentication_policy": SansIOHTTPPolicy[Any, Any]()}
        self._credential = credential or (
            DefaultAzureCredential(authority=settings.authority or None)
            if is_secure
            else _NoCredential()
        )
        # Our own back-off sees the stop signal and shows in the status; the SDK's would hide there.
        self._client = LogsQueryClient(
            self._credential,
            endpoint=settings.endpoint,
            retry_policy=AsyncRetryPolicy.no_retries(),
            per_call_policies=[_SearchPath()],
            **options,
        )

    async def query(
        self,
        scope: str,
        text: str,
        span: tuple[datetime, datetime],
        *,
        is_search: bool = False,
    ) -> Answer:
        """
        Ask one question; *span* bounds TimeGenerated.

        *scope* is a workspace's id, or the path of a resource. *is_search* is for tables on the
        Basic and Auxiliary plans, which a workspace only is asked for.

        Raises:
            SearchOnly: the table is on such a plan, and *is_search* was not set.
            SourceDenied: 400, 401, 403, 404 or no credential. An operator has to act.
            SourceUnavailable: throttled (`retry_after_s`), overloaded or unreachable. Retryable.
        """
        seen = _Seen()
        try:
            client = self._client
            options: dict[str, Any] = {_SearchPath.OPTION: True} if is_search else {}
            ask = client.query_resource if _is_resource(scope) else client.query_workspace
            result = await ask(
                scope.lstrip("/"),
                text,
                timespan=span,
                server_timeout=_SERVER_TIMEOUT_S,
                raw_response_hook=seen.note,
                **options,
            )
        except (AzureError, ValueError, zlib.error) as exc:  # the SDK inflates and parses itself
            if seen.status == 204:  # the workspace has no data for the table
                return Answer((), service_now_ns=seen.date_ns)
            raise _translate(exc, scope, seen) from exc
        if isinstance(result, LogsQueryPartialResult):
            reason = _partial_reason(result.partial_error)
            return Answer(_rows(result.partial_data or ()), reason, seen.date_ns)
        if not result.tables:
            raise SourceUnavailable(f"{_named(scope)} answered without a table")
        return Answer(_rows(result.tables), service_now_ns=seen.date_ns)

    async def check_token(self) -> None:
        """
        Get a token, as the first query would.

        Raises:
            SourceDenied: there is no credential, or Entra ID refuses it.
        """
        try:
            await self._credential.get_token(f"{self._endpoint}/.default")
        except AzureError as exc:
            raise _no_credential(exc) from exc

    async def close(self) -> None:
        await self._client.close()
        await self._credential.close()


class _SearchPath(SansIOHTTPPolicy[Any, Any]):
    """
    Sends a query to `/search`, which the SDK does not know, where it would go to `/query`.

    Source: learn.microsoft.com/azure/azure-monitor/logs/basic-logs-query, API: the same body, the
    time span in the address.
    """

    OPTION = "is_hopline_search"

    def on_request(self, request: PipelineRequest[Any]) -> None:
        if not request.context.options.pop(self.OPTION, False):
            return
        body = json.loads(request.http_request.content)
        address = request.http_request.url.partition("?")[0].removesuffix("/query")
        span = quote(body["timespan"], safe="")
        request.http_request.url = f"{address}/search?timespan={span}"
        request.http_request.set_json_body({"query": body["query"]})


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
        self.date_ns = int(date.replace(tzinfo=date.tzinfo or UTC).timestamp()) * NS_PER_S


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


def _is_resource(scope: str) -> bool:
    return scope.startswith("/")


def _named(scope: str) -> str:
    return f"resource {scope}" if _is_resource(scope) else f"workspace {scope}"


def _translate(exc: Exception, scope: str, seen: _Seen) -> PullError:
    if isinstance(exc, HttpResponseError) and exc.status_code and exc.status_code >= 300:
        return _translate_status(exc, exc.status_code, scope)
    # The SDK wraps whatever comes out of its pipeline; what it was stands in the context.
    if not seen.status and isinstance(exc.__context__ or exc, ClientAuthenticationError):
        return _no_credential(exc)
    if seen.status == 200:
        return SourceUnavailable(f"{_named(scope)} sent no usable result: {_short(exc)}")
    if seen.status:
        return SourceUnavailable(f"{_named(scope)} answered HTTP {seen.status} without JSON")
    return SourceUnavailable(f"{_named(scope)} cannot be reached: {_short(exc)}")


def _no_credential(exc: Exception) -> SourceDenied:
    hint = credential_hint(str(exc), os.environ)
    return SourceDenied(f"no Azure credential: {_short(exc)}", hint=hint)


def _translate_status(exc: HttpResponseError, status: int, scope: str) -> PullError:
    reason, inner_code = _reason(exc)
    message = f"{_named(scope)} answered HTTP {status}: {reason}"
    if status in (408, 429) or status >= 500:
        return SourceUnavailable(message, retry_after_s=_retry_after_s(exc))
    if inner_code == _SEARCH_ONLY:
        return SearchOnly(message, hint=_NOT_BY_RESOURCE)
    hints = {**_HINTS, **_RESOURCE_HINTS} if _is_resource(scope) else _HINTS
    return SourceDenied(message, hint=hints.get(status, ""))


def _reason(exc: HttpResponseError) -> tuple[str, str]:
    """Return Azure's code with its innermost message, the one that helps, and its inner code."""
    try:
        error = json.loads(exc.response.text() if exc.response is not None else "")["error"]
        code = str(error.get("code", ""))
        while isinstance(error.get("innererror"), dict):
            error = error["innererror"]
        text = f"{code} {error.get('message', '')}"[:_MESSAGE_CHARACTERS].strip()
        return text, str(error.get("code", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        return _short(exc), ""


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
