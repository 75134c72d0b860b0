"""
Settings: `HOPLINE_*` variables, one class, defaults that run on a laptop.

Each room receives the frozen part that concerns it (`settings.journal()`), never the whole.
`hopline check-config` prints the effective values with secrets masked.
"""

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from socket import gethostname
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    BeforeValidator,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from collector.errors import ConfigError
from collector.retention import MAX_DAYS, read_retention
from collector.settings import (
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

MIB = 1024 * 1024
_PREFIX = "HOPLINE_"
# Read by the supervisor and the tests.
_NO_SETTINGS = re.compile(r"HOPLINE_(?:READY_FD|PARENT_PID|RESENDS_FD|TEST_\w+|FUZZ_\w+)")
# What Kubernetes sets in every pod beside a Service whose name begins with hopline.
_SERVICE_LINK = re.compile(
    r"HOPLINE_(?:\w+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT_\d+_[A-Z]+(?:_[A-Z]+)?)"
)
_SERVICE_URL = re.compile(r"(?:tcp|udp|sctp)://")


def is_loopback(bind: str) -> bool:
    """Tell whether only this machine reaches a socket that is bound to *bind*."""
    try:
        return ip_address(bind).is_loopback
    except ValueError:
        return bind == "localhost"


MAX_TENANTS = 32
DEFAULT_TENANT = "default"
"""How the tenant of everybody who has none is called where it needs a name."""
# no two separators in a row, so that the name of a database tells the tenant
_TENANT = re.compile(r"[a-z0-9]+(?:[-_][a-z0-9]+)*")
_MAX_TENANT_CHARACTERS = 32
_HEADER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")


_RESOURCE_ID = re.compile(
    r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/[^/]+(?:/[^/]+/[^/]+)+", re.IGNORECASE
)
# Query endpoint and authority of each cloud.
# Source: azure-identity AzureAuthorityHosts; learn.microsoft.com/azure/azure-monitor/logs/api.
_AZURE_CLOUDS = {
    "public": ("https://api.loganalytics.io", "login.microsoftonline.com"),
    "usgovernment": ("https://api.loganalytics.us", "login.microsoftonline.us"),
    "china": ("https://api.loganalytics.azure.cn", "login.chinacloudapi.cn"),
}


def _split(value: str | SecretStr | Iterable[str]) -> tuple[str, ...]:
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    parts = text.split(",") if isinstance(text, str) else text
    return tuple(part.strip() for part in parts if part.strip())


_Port = Annotated[int, Field(ge=0, le=65535)]
_File = Annotated[Path | None, BeforeValidator(lambda value: value or None)]
_Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
"""Names or addresses, comma separated."""


class Settings(BaseSettings):
    """
    Everything that can be set, from the environment.

    Each field's description is its row in deploy/reference.md: meaning, unit, what 0 or empty does.
    """

    model_config = SettingsConfigDict(env_prefix=_PREFIX, extra="ignore", frozen=True)

    data_dir: Path = Field(
        Path("data"), description="Folder of the journal, the embedded store and the watermarks."
    )
    bind: str = Field(
        "127.0.0.1",
        description="Address of every socket. Other than loopback needs both token settings.",
    )
    otlp_grpc_port: _Port = Field(4317, description="OTLP/gRPC. 0: off.")
    ingest_port: _Port = Field(4318, description="OTLP/HTTP and gateway push. 0: off.")
    api_port: _Port = Field(8080, description="REST and pages. 0: off.")
    sql_port: _Port = Field(
        0,
        description="ClickHouse's HTTP interface to the tables, read-only, for Grafana; usually "
        "8123. 0: off.",
    )
    jaeger_query_port: _Port = Field(
        0,
        description="Jaeger's query API over gRPC, for Kiali and others; usually 16685. 0: off.",
    )
    zipkin_port: _Port = Field(0, description="Zipkin v2, usually 9411. 0: off.")
    jaeger_http_port: _Port = Field(
        0, description="Jaeger Thrift over HTTP, usually 14268. 0: off."
    )
    jaeger_grpc_port: _Port = Field(0, description="Jaeger gRPC, usually 14250. 0: off.")
    jaeger_udp_port: int = Field(
        0,
        ge=0,
        le=65534,
        description="Jaeger agent UDP compact, usually 6831; binary listens one above. 0: off.",
    )
    ingest_tokens: SecretStr = Field(
        SecretStr(""), description="Bearer tokens that may send, comma separated. Empty: no check."
    )
    query_tokens: SecretStr = Field(
        SecretStr(""), description="Bearer tokens that may read, comma separated. Empty: no check."
    )
    tokens_file: _File = Field(
        None,
        description="TOML file of hashed tokens with names and scopes (`hopline token` makes an "
        "entry), read again when it changes. Empty: none.",
    )
    oidc_issuer: str = Field(
        "",
        description="OpenID Connect issuer whose signed tokens may read, exactly as in their "
        "`iss`. Empty: none.",
    )
    oidc_audience: str = Field("", description="What these tokens must have as `aud`.")
    oidc_groups: _Names = Field(
        (), description="Groups (claim `groups`) that may read, comma separated. Empty: all."
    )
    oidc_tenant_claim: str = Field(
        "", description="Claim that names a person's tenant. Empty: all are of the default one."
    )
    tenants: _Names = Field(
        (),
        description="Tenants whose data are kept apart, comma separated, at most 32: a database "
        "and a journal each. Empty: all data are of one.",
    )
    tenant_header: str = Field(
        "X-Hopline-Tenant",
        description="Header (gRPC: metadata) in which a trusted proxy names the tenant of a "
        "request.",
    )
    trusted_proxies: _Names = Field(
        (),
        description="Addresses or networks that the header is believed from, comma separated. "
        'Others need a token with `tenant = "*"`. Empty: none.',
    )
    pull_tenant: str = Field(
        "",
        description="Tenant of all that is polled, consumed or comes by UDP. Empty: the default "
        "one.",
    )
    audit_log: bool = Field(
        False,
        description="Log each read of the API, the SQL port and Jaeger's gRPC port: who, by the "
        "token's name, what and when.",
    )
    telemetry_endpoint: str = Field(
        "",
        description="OTLP/HTTP endpoint for Hopline's own traces, metrics and logs, "
        "http(s)://host:port. Empty: off.",
    )
    telemetry_headers: SecretStr = Field(
        SecretStr(""), description="Headers for it: `name=value` pairs, comma separated."
    )
    telemetry_interval_s: int = Field(
        60, ge=1, description="Seconds between two exports of its metrics."
    )
    export_otlp_endpoint: str = Field(
        "",
        description="OTLP endpoint that gateway records are sent to as spans: http(s)://host:port, "
        "or the whole address with `/v1/traces`; grpc(s)://host:port. Empty: off.",
    )
    export_otlp_headers: SecretStr = Field(
        SecretStr(""), description="Headers for it: `name=value` pairs, comma separated."
    )
    export_otlp_tenant_header: str = Field(
        "",
        pattern=r"^(?:[A-Za-z0-9-]{1,100})?$",
        description="Header that names the tenant of what is sent, such as `X-Scope-OrgID`: the "
        "records of all tenants are sent then. Empty: the default one's only.",
    )
    export_otlp_gateways: _Names = Field(
        (),
        description="Gateways whose records are sent, as answers name them, comma separated. "
        "Empty: all.",
    )
    export_otlp_omit: _Names = Field(
        (),
        description="Attributes that are left out, comma separated; `client.*` leaves out all that "
        "begin so. Empty: none.",
    )
    export_otlp_inferred_hops: bool = Field(
        False, description="Send spans of services that were called and sent none, too."
    )
    export_otlp_wait_s: int = Field(
        60,
        ge=1,
        description="Seconds between a record's arrival in the store and its export, in which the "
        "mesh's spans come too. More than the longest load takes.",
    )
    tls_cert: _File = Field(
        None,
        description="PEM file of the certificate for every TCP port, read again when it changes. "
        "Empty: plain text.",
    )
    tls_key: _File = Field(None, description="PEM file of its key.")
    tls_client_ca: _File = Field(
        None, description="PEM file of the authority that clients' certificates must be of (mTLS)."
    )
    allowed_hosts: _Names = Field(
        (),
        description="More names under which a browser may reach a loopback port that asks for no "
        "token, comma separated.",
    )
    allow_unauthenticated: bool = Field(
        False, description="Permit a bind other than loopback without tokens."
    )
    max_body_bytes: int = Field(
        64 * MIB, ge=1024, description="Largest request, before and after decompression, in bytes."
    )
    max_inflight_bytes: int = Field(
        256 * MIB, ge=1024, description="Bytes of requests held at once; above it senders wait."
    )
    ingest_processes: int = Field(
        1,
        ge=1,
        le=64,
        description="Processes that take data in on the same ports; each may take a core. They "
        "divide the journal's quota and the bytes held at once. UDP and pollers: the first one's.",
    )
    journal_max_bytes: int = Field(
        4096 * MIB,
        ge=1024,
        description="Journal quota in bytes; when full, senders are told to retry.",
    )
    journal_segment_bytes: int = Field(
        48 * MIB, ge=1024, description="A segment is closed at this size, in bytes."
    )
    flush_interval_ms: int = Field(
        1000, ge=50, description="A segment is closed and loaded after this long, in ms."
    )
    min_free_bytes: int = Field(
        512 * MIB,
        ge=0,
        description="Free space below which requests are refused and merges stop; loads stop below "
        "half of it. In bytes; 0: no limit.",
    )
    kept_segments_s: int = Field(
        600,
        ge=0,
        description="Seconds that a loaded segment stays, in case the engine finds its rows broken "
        "at a start. 0: none stays.",
    )
    kept_segments_bytes: int = Field(
        512 * MIB, ge=0, description="Most that loaded segments may hold, in bytes."
    )
    clickhouse_url: SecretStr = Field(
        SecretStr(""),
        description="http(s)://user:password@host:port/database of a server. Empty: embedded.",
    )
    clickhouse_database: str = Field("hopline", description="Database of all tables.")
    clickhouse_cluster: str = Field(
        "", description="Cluster name for ON CLUSTER, replicated, sharded tables. Empty: one node."
    )
    ttl_days: int = Field(
        90,
        ge=0,
        le=MAX_DAYS,
        description="Days that gateway records, stitched requests and changes are kept. 0: for "
        "ever.",
    )
    span_ttl_days: int = Field(
        7,
        ge=0,
        le=MAX_DAYS,
        description="Days that spans, logs and metrics are kept. Where HOPLINE_TTL_DAYS alone is "
        "set: as long as that. 0: for ever.",
    )
    keep_spans: bool = Field(
        True,
        description="Keep the spans and logs of slow and failed requests, and of one in a hundred "
        "others, as long as records. Background stitching says which, and copies them a day later.",
    )
    retention: _File = Field(
        None,
        description="TOML file of other times for single tenants and APIs, and of what lies on "
        "cold disks. Empty: none.",
    )
    store_memory_bytes: int = Field(
        2048 * MIB, ge=0, description="Memory cap of one statement, in bytes. 0: the engine's own."
    )
    loads_at_once: int = Field(
        2,
        ge=1,
        le=16,
        description="Segments that are loaded at the same time when several wait; each may take a "
        "core.",
    )
    query_timeout_s: int = Field(20, ge=1, description="Time limit of one read, in seconds.")
    background_cpu_percent: int = Field(
        10,
        ge=0,
        le=100,
        description="Percent of one core for stitching requests in the background. What does not "
        "fit is sampled: all that failed or were slow, and some of the rest. 0: none, and no rows "
        "in `hopline.requests`.",
    )
    redact: bool = Field(True, description="Mask secrets before anything reaches the disk.")
    redact_keys: _Names = Field(
        (), description="More attribute or header names to mask, comma separated."
    )
    redact_rules: _File = Field(
        None,
        description="TOML file of your own rules: `keys`, `allow` and `[patterns]` (RE2). "
        "Empty: none.",
    )
    redact_mode: Literal["mask", "hash"] = Field(
        "mask",
        description="`hash` writes a keyed hash into the mark, so that equal values still join.",
    )
    redact_salt: SecretStr = Field(
        SecretStr(""),
        description="Key of these hashes, the same for all processes that share a database. "
        "Empty: made once, kept in the data folder.",
    )
    resend_window_s: int = Field(
        3600,
        ge=0,
        description="Seconds in which an identical resent request is recognised. 0: never.",
    )
    azure_workspace_ids: _Names = Field(
        (), description="Log Analytics workspaces to poll, comma separated. Empty: no poller."
    )
    azure_resource_ids: _Names = Field(
        (),
        description="Azure resources to poll the logs of, `/subscriptions/…`, comma separated: for "
        "who may not ask a workspace. Empty: none.",
    )
    azure_tables: _Names = Field(
        ("ApiManagementGatewayLogs",), description="Tables to poll, comma separated."
    )
    azure_cloud: Literal["public", "usgovernment", "china"] = Field(
        "public", description="The cloud that gives tokens and answers queries."
    )
    azure_endpoint: str = Field(
        "", description="Log Analytics query endpoint. Empty: the cloud's own."
    )
    azure_poll_interval_s: int = Field(30, ge=1, description="Seconds between two polls.")
    azure_overlap_s: int = Field(
        60, ge=0, description="Seconds of each poll that the one before has already asked for."
    )
    azure_lookback_s: int = Field(
        3600, ge=0, description="Seconds into the past of the very first poll."
    )
    azure_max_window_s: int = Field(
        3600, ge=1, description="Longest window of one query, in seconds."
    )
    azure_allow_insecure: bool = Field(
        False, description="Talk to an http:// endpoint without credentials (test doubles only)."
    )
    eventhub_bootstrap: str = Field(
        "", description="Event Hubs Kafka endpoint, host:9093. Empty: no consumer."
    )
    eventhub_connection_string: SecretStr = Field(
        SecretStr(""), description="Event Hubs connection string. Empty: plain Kafka without SASL."
    )
    eventhub_topics: _Names = Field((), description="Event hubs to read, comma separated.")
    eventhub_group: str = Field("hopline", description="Consumer group.")
    gateway_log_udp_port: _Port = Field(
        0,
        description="UDP for a self-hosted API Management gateway's JSON logs, usually 8888. "
        "0: off.",
    )
    gateway_spans: str = Field(
        "",
        description="Services whose entry spans are requests at a gateway: `service=gateway` "
        "pairs, comma separated. Empty: only gateways that their spans give away.",
    )
    gateway_mappings: str = Field(
        "",
        description="File that tells how other gateways' access logs are read: "
        "`deploy/gateways/mappings`. Empty: none.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe message that is logged."
    )

    # which of the ingest processes this one is
    _ingest_number: int = PrivateAttr(0)

    @field_validator("*", mode="before")
    @classmethod
    def _is_no_service_link(cls, value: object, info: ValidationInfo) -> object:
        # A Service called hopline-ingest makes Kubernetes set HOPLINE_INGEST_PORT=tcp://10.0.0.1:4318.
        name = info.field_name or ""
        if name.endswith("_port") and isinstance(value, str) and _SERVICE_URL.match(value):
            return cls.model_fields[name].default
        return value

    @field_validator("azure_endpoint")
    @classmethod
    def _has_scheme(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must start with https:// (or http:// for a local double)")
        return value.rstrip("/")

    @field_validator("export_otlp_endpoint")
    @classmethod
    def _is_address(cls, value: str) -> str:
        if not value:
            return value
        parts = urlsplit(value)
        is_grpc = parts.scheme in ("grpc", "grpcs")
        if not (is_grpc or parts.scheme in ("http", "https")) or not parts.hostname or parts.query:
            raise ValueError(
                f"{value!r} is no address: http(s)://host:port or grpc(s)://host:port of OTLP"
            )
        if is_grpc and (parts.port is None or parts.path not in ("", "/")):
            raise ValueError(f"{value!r} is no address of OTLP over gRPC: grpc(s)://host:port")
        return value.rstrip("/")

    @field_validator("azure_resource_ids")
    @classmethod
    def _are_paths(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for resource in value:
            if not _RESOURCE_ID.fullmatch(resource):
                raise ValueError(
                    f"{resource!r} is no resource id: `az resource show` prints it as `id`, "
                    "/subscriptions/…/resourceGroups/…/providers/…"
                )
        return value

    @field_validator("tenants")
    @classmethod
    def _are_tenants(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if not _TENANT.fullmatch(name) or len(name) > _MAX_TENANT_CHARACTERS:
                raise ValueError(
                    f"{name[:40]!r} is no name of a tenant: at most {_MAX_TENANT_CHARACTERS} small "
                    "letters and digits, single - or _ between them"
                )
        if DEFAULT_TENANT in names:
            raise ValueError(f"{DEFAULT_TENANT} is there without being named")
        if len(set(names)) < len(names):
            raise ValueError("a name is there twice")
        if len(names) > MAX_TENANTS:
            raise ValueError(f"{len(names)} tenants are more than {MAX_TENANTS}")
        return names

    @field_validator("tenant_header")
    @classmethod
    def _is_header(cls, value: str) -> str:
        if not _HEADER_NAME.fullmatch(value) or value.lower() in ("authorization", "host"):
            raise ValueError(f"{value[:40]!r} cannot be the tenant's header")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            ip_network(each)
        return value

    @model_validator(mode="after")
    def _are_tenants_used(self) -> "Settings":
        names = self.tenants
        if self.pull_tenant not in ("", DEFAULT_TENANT, *names):
            raise ValueError(f"HOPLINE_PULL_TENANT={self.pull_tenant} is not in HOPLINE_TENANTS")
        for name in ("trusted_proxies", "oidc_tenant_claim"):
            if getattr(self, name) and not names:
                raise ValueError(f"HOPLINE_{name.upper()} needs HOPLINE_TENANTS")
        return self

    @model_validator(mode="after")
    def _is_safe_to_expose(self) -> "Settings":
        has_settings = _split(self.ingest_tokens) and (
            _split(self.query_tokens) or self.oidc_issuer
        )
        tokens_missing = not has_settings and not self.tokens_file
        if not is_loopback(self.bind) and tokens_missing and not self.allow_unauthenticated:
            raise ValueError(
                f"HOPLINE_BIND={self.bind} is reachable from outside: set HOPLINE_INGEST_TOKENS "
                "and HOPLINE_QUERY_TOKENS or HOPLINE_TOKENS_FILE, or "
                "HOPLINE_ALLOW_UNAUTHENTICATED=true"
            )
        if (
            self.sql_port
            and (self.oidc_issuer or not is_loopback(self.bind))
            and not (_split(self.query_tokens) or self.tokens_file or self.allow_unauthenticated)
        ):
            raise ValueError(
                "HOPLINE_SQL_PORT takes tokens and nobody of HOPLINE_OIDC_ISSUER: set "
                "HOPLINE_QUERY_TOKENS or HOPLINE_TOKENS_FILE"
            )
        if self._exports_to_itself():
            raise ValueError(
                f"HOPLINE_EXPORT_OTLP_ENDPOINT={self.export_otlp_endpoint} is this Hopline's own "
                "port: name the tracing tool that lacks the gateway's spans"
            )
        if bool(self.tls_cert) != bool(self.tls_key) or (self.tls_client_ca and not self.tls_cert):
            raise ValueError("TLS needs both HOPLINE_TLS_CERT and HOPLINE_TLS_KEY")
        return self

    def _exports_to_itself(self) -> bool:
        address = urlsplit(self.export_otlp_endpoint)
        host = address.hostname or ""
        is_here = host in (self.bind, gethostname().lower()) or is_loopback(host)
        port = address.port or (443 if address.scheme == "https" else 80)
        return bool(host) and is_here and port in (self.ingest_port, self.otlp_grpc_port)

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
            tokens=_split(self.ingest_tokens),
            max_body_bytes=self.max_body_bytes,
            max_inflight_bytes=self.max_inflight_bytes // self.ingest_processes,
            shares_ports=self.ingest_processes > 1,
            token_file=self.tokens_file,
            tls=self.tls(),
            allowed_hosts=self.allowed_hosts,
            read_tokens=_split(self.query_tokens),
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
            tokens=_split(self.query_tokens),
            ingest_tokens=_split(self.ingest_tokens),
            doors=DoorSettings(
                ingest_port=self.ingest_port,
                otlp_grpc_port=self.otlp_grpc_port,
                needs_token=bool(_split(self.ingest_tokens) or self.tokens_file),
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
            tokens=_split(self.query_tokens),
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
            are_tokens_asked=bool(_split(self.ingest_tokens) or self.tokens_file),
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
    known = [_PREFIX + name for name in ("URL", "TOKEN", *map(str.upper, Settings.model_fields))]
    problems = []
    for name, value in environment.items():
        upper = name.upper()
        if not upper.startswith(_PREFIX) or upper in known or _NO_SETTINGS.fullmatch(upper):
            continue
        if _SERVICE_LINK.fullmatch(upper) or _SERVICE_URL.match(value):
            continue
        near = difflib.get_close_matches(upper, known, 1)
        meant = f": did you mean {near[0]}?" if near else ""
        problems.append(f"{name} is not a setting{meant}")
    if problems:
        raise ConfigError("; ".join(problems), hint="see the settings in deploy/reference.md")


def _pairs(value: SecretStr) -> tuple[tuple[str, str], ...]:
    pairs = (pair.partition("=") for pair in _split(value))
    return tuple((name.strip(), text.strip()) for name, _, text in pairs)
