"""
Settings: `HOPLINE_*` variables, one class, defaults that run on a laptop.

Each room receives the frozen part that concerns it (`settings.journal()`), never the whole. What
may be set is in `variables`; `hopline check-config` prints the values in force, secrets masked.
"""

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import PrivateAttr, SecretStr

from collector.errors import ConfigError
from collector.retention import read_retention
from collector.settings import (
    DEFAULT_TENANT,
    ApiSettings,
    AzureSettings,
    DoorSettings,
    EventHubSettings,
    ExportSettings,
    GatewayLogSettings,
    IntakeSettings,
    JournalSettings,
    OidcSettings,
    ReceiveSettings,
    RedactSettings,
    Retention,
    SqlSettings,
    StoreSettings,
    TelemetrySettings,
    TenantSettings,
    TlsSettings,
    find_numbered,
    of_number,
)
from collector.variables import PREFIX, SERVICE_URL, Variables, split

# Read by the supervisor and the tests.
_NO_SETTINGS = re.compile(r"HOPLINE_(?:READY_FD|PARENT_PID|RESENDS_FD|TEST_\w+|FUZZ_\w+)")
# What Kubernetes sets in every pod beside a Service whose name begins with hopline.
_SERVICE_LINK = re.compile(
    r"HOPLINE_(?:\w+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT_\d+_[A-Z]+(?:_[A-Z]+)?)"
)
# Query endpoint and authority of each cloud.
# Source: azure-identity AzureAuthorityHosts; learn.microsoft.com/azure/azure-monitor/logs/api.
_AZURE_CLOUDS = {
    "public": ("https://api.loganalytics.io", "login.microsoftonline.com"),
    "usgovernment": ("https://api.loganalytics.us", "login.microsoftonline.us"),
    "china": ("https://api.loganalytics.azure.cn", "login.chinacloudapi.cn"),
}


class Settings(Variables):
    """The settings in force, and the part of them that each room gets."""

    # which of the ingest processes this one is
    _ingest_number: int = PrivateAttr(0)

    def tenant_names(self) -> tuple[str, ...]:
        """Return all tenants, the default one, "", first."""
        return ("", *self.tenants)

    def tenant_dir(self, tenant: str) -> Path:
        """Return the folder of a tenant's journal, counters and watermarks."""
        return self.data_dir / "tenants" / tenant if tenant else self.data_dir

    def of_ingest_process(self, number: int) -> "Settings":
        """Return the settings of one of the ingest processes, which are numbered from 0."""
        settings = self.model_copy()
        settings._ingest_number = number
        return settings

    @property
    def is_first_ingest_process(self) -> bool:
        """Whether this is the one that also does what only one may do."""
        return self._ingest_number == 0

    def tenancy(self) -> TenantSettings:
        return TenantSettings(
            names=self.tenants,
            header=self.tenant_header.lower(),
            proxies=self.trusted_proxies,
        )

    def journal(self, tenant: str = "") -> JournalSettings:
        # no tenant takes the room of another, and all together no more than one would
        count = len(self.tenant_names())
        first = self.tenant_dir(tenant) / "journal"
        return JournalSettings(
            directory=self._own(first),
            max_bytes=self.journal_max_bytes // (count * self.ingest_processes),
            segment_bytes=self.journal_segment_bytes,
            segment_age_ms=self.flush_interval_ms,
            min_free_bytes=self.min_free_bytes,
            kept_s=self.kept_segments_s,
            kept_bytes=self.kept_segments_bytes // count,
            abandoned=self._abandoned(first),
        )

    def redaction(self, tenant: str = "") -> RedactSettings:
        return RedactSettings(
            is_on=self.redact,
            keys=self.redact_keys,
            rules_path=self.redact_rules,
            is_hashing=self.redact_mode == "hash",
            salt=self.redact_salt.get_secret_value(),
            salt_path=self.tenant_dir(tenant) / "redact.salt",
        )

    def _own(self, first: Path) -> Path:
        """Return what this ingest process has where the first one has *first*."""
        return first.with_stem(of_number(first.stem, self._ingest_number))

    def _abandoned(self, first: Path) -> tuple[Path, ...]:
        """Return what the first ingest process looks after for those that there are no more."""
        return find_numbered(first, self.ingest_processes) if self.is_first_ingest_process else ()

    def intake(self, tenant: str = "") -> IntakeSettings:
        status = self.tenant_dir(tenant) / "status" / "ingest.json"
        return IntakeSettings(
            redact=self.redaction(tenant),
            resend_window_s=self.resend_window_s,
            status_path=self._own(status),
            outdated=self._abandoned(status),
            tenant=tenant,
            tenant_number=self.tenant_names().index(tenant),
            tenant_count=len(self.tenant_names()),
        )

    def tls(self) -> TlsSettings:
        return TlsSettings(self.tls_cert, self.tls_key, self.tls_client_ca)

    def receive(self) -> ReceiveSettings:
        return ReceiveSettings(
            bind=self.bind,
            otlp_grpc_port=self.otlp_grpc_port,
            ingest_port=self.ingest_port,
            zipkin_port=self.zipkin_port,
            jaeger_http_port=self.jaeger_http_port,
            jaeger_grpc_port=self.jaeger_grpc_port,
            # the system gives datagrams to sockets by their sender, which few are
            jaeger_udp_port=self.jaeger_udp_port if self.is_first_ingest_process else 0,
            tokens=split(self.ingest_tokens),
            max_body_bytes=self.max_body_bytes,
            max_inflight_bytes=self.max_inflight_bytes // self.ingest_processes,
            shares_ports=self.ingest_processes > 1,
            token_file=self.tokens_file,
            tls=self.tls(),
            allowed_hosts=self.allowed_hosts,
            read_tokens=split(self.query_tokens),
            must_sign_in=bool(self.oidc_issuer),
            tenants=self.tenancy(),
            pull_tenant=self.tenant_of_pulled(),
        )

    def tenant_of_pulled(self) -> str:
        return self.pull_tenant if self.pull_tenant != DEFAULT_TENANT else ""

    def store(self, tenant: str = "") -> StoreSettings:
        return StoreSettings(
            url=self.clickhouse_url.get_secret_value(),
            directory=self.data_dir / "chdb",
            database=self.clickhouse_database,
            cluster=self.clickhouse_cluster,
            flush_interval_ms=self.flush_interval_ms,
            memory_bytes=self.store_memory_bytes,
            query_timeout_s=self.query_timeout_s,
            loads_at_once=self.loads_at_once,
            tenant=tenant,
            retention=self._retention(tenant),
        )

    def _retention(self, tenant: str) -> Retention:
        # one time for all rows, as it was before spans had their own
        is_one = (
            "ttl_days" in self.model_fields_set and "span_ttl_days" not in self.model_fields_set
        )
        usual = Retention(
            record_days=self.ttl_days,
            span_days=self.ttl_days if is_one else self.span_ttl_days,
            kept_days=self.ttl_days,
            keeps_spans=self.keep_spans,
        )
        if self.retention is None:
            return usual
        known = {DEFAULT_TENANT, *self.tenants}
        return read_retention(self.retention, usual, tenant or DEFAULT_TENANT, known)

    def api(self) -> ApiSettings:
        return ApiSettings(
            bind=self.bind,
            port=self.api_port,
            tokens=split(self.query_tokens),
            ingest_tokens=split(self.ingest_tokens),
            doors=DoorSettings(
                ingest_port=self.ingest_port,
                otlp_grpc_port=self.otlp_grpc_port,
                needs_token=bool(split(self.ingest_tokens) or self.tokens_file),
                has_tls=bool(self.tls_cert),
            ),
            token_file=self.tokens_file,
            tls=self.tls(),
            allowed_hosts=self.allowed_hosts,
            oidc=self._oidc(),
            is_audited=self.audit_log,
            jaeger_query_port=self.jaeger_query_port,
            tenants=self.tenancy(),
        )

    def _oidc(self) -> OidcSettings | None:
        if not self.oidc_issuer:
            return None
        return OidcSettings(
            self.oidc_issuer, self.oidc_audience, self.oidc_groups, self.oidc_tenant_claim
        )

    def telemetry(self) -> TelemetrySettings:
        return TelemetrySettings(
            self.telemetry_endpoint, _pairs(self.telemetry_headers), self.telemetry_interval_s
        )

    def export(self) -> ExportSettings:
        return ExportSettings(
            endpoint=self.export_otlp_endpoint,
            headers=_pairs(self.export_otlp_headers),
            tenant_header=self.export_otlp_tenant_header,
            gateways=self.export_otlp_gateways,
            omitted=self.export_otlp_omit,
            has_inferred_hops=self.export_otlp_inferred_hops,
            wait_s=self.export_otlp_wait_s,
        )

    def sql(self) -> SqlSettings:
        return SqlSettings(
            bind=self.bind,
            port=self.sql_port,
            tokens=split(self.query_tokens),
            timeout_s=self.query_timeout_s,
            token_file=self.tokens_file,
            is_audited=self.audit_log,
            tls=self.tls(),
            allowed_hosts=self.allowed_hosts,
            tenants=self.tenancy(),
        )

    def azure(self) -> AzureSettings:
        return AzureSettings(
            workspace_ids=self.azure_workspace_ids,
            tables=self.azure_tables,
            endpoint=self.azure_endpoint or _AZURE_CLOUDS[self.azure_cloud][0],
            poll_interval_s=self.azure_poll_interval_s,
            overlap_s=self.azure_overlap_s,
            lookback_s=self.azure_lookback_s,
            max_window_s=self.azure_max_window_s,
            state_directory=self.tenant_dir(self.tenant_of_pulled()) / "pull",
            is_insecure_endpoint_allowed=self.azure_allow_insecure,
            resource_ids=self.azure_resource_ids,
            authority=_AZURE_CLOUDS[self.azure_cloud][1],
        )

    def event_hub(self) -> EventHubSettings:
        return EventHubSettings(
            bootstrap_servers=self.eventhub_bootstrap,
            connection_string=self.eventhub_connection_string.get_secret_value(),
            topics=self.eventhub_topics,
            group=self.eventhub_group,
            state_directory=self.tenant_dir(self.tenant_of_pulled()) / "pull",
            dead_letter_directory=(
                self.journal(self.tenant_of_pulled()).directory / "dead-letter" / "events"
            ),
            redact=self.redaction(self.tenant_of_pulled()),
        )

    def gateway_log(self) -> GatewayLogSettings:
        return GatewayLogSettings(
            bind=self.bind,
            port=self.gateway_log_udp_port,
            are_tokens_asked=bool(split(self.ingest_tokens) or self.tokens_file),
        )


def load_settings(**overrides: object) -> Settings:
    """
    Read the environment; arguments win over it.

    Raises:
        ConfigError: a value cannot work, or a variable is no setting; the message names it.
    """
    from pydantic import ValidationError

    check_names(os.environ)
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as exc:
        problems = "; ".join(
            (f"HOPLINE_{str(e['loc'][0]).upper()}: " if e["loc"] else "")
            + str(e["msg"]).removeprefix("Value error, ")
            for e in exc.errors()
        )
        raise ConfigError(problems, hint="see the settings in deploy/reference.md") from exc


def check_names(environment: Mapping[str, str]) -> None:
    """
    Refuse variables that look like settings and are none: a slip would leave the default.

    Raises:
        ConfigError: names each of them, and the setting that may be meant.
    """
    known = [PREFIX + name for name in ("URL", "TOKEN", *map(str.upper, Settings.model_fields))]
    problems = []
    for name, value in environment.items():
        upper = name.upper()
        if not upper.startswith(PREFIX) or upper in known or _NO_SETTINGS.fullmatch(upper):
            continue
        if _SERVICE_LINK.fullmatch(upper) or SERVICE_URL.match(value):
            continue
        near = difflib.get_close_matches(upper, known, 1)
        meant = f": did you mean {near[0]}?" if near else ""
        problems.append(f"{name} is not a setting{meant}")
    if problems:
        raise ConfigError("; ".join(problems), hint="see the settings in deploy/reference.md")


def _pairs(value: SecretStr) -> tuple[tuple[str, str], ...]:
    pairs = (pair.partition("=") for pair in split(value))
    return tuple((name.strip(), text.strip()) for name, _, text in pairs)
