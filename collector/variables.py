"""
The variables `HOPLINE_*`: what may be set, what it means, its default and what is refused.
"""

import re
from collections.abc import Iterable
from ipaddress import ip_network
from pathlib import Path
from socket import gethostname
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BeforeValidator,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from collector.retention import MAX_DAYS
from collector.settings import DEFAULT_TENANT, MIB, is_loopback

PREFIX = "HOPLINE_"
SERVICE_URL = re.compile(r"(?:tcp|udp|sctp)://")


MAX_TENANTS = 32
# no two separators in a row, so that the name of a database tells the tenant
_TENANT = re.compile(r"[a-z0-9]+(?:[-_][a-z0-9]+)*")
_MAX_TENANT_CHARACTERS = 32
_HEADER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")


_RESOURCE_ID = re.compile(
    r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/[^/]+(?:/[^/]+/[^/]+)+", re.IGNORECASE
)


def split(value: str | SecretStr | Iterable[str]) -> tuple[str, ...]:
    """Return the parts of a list that is comma separated, without those that are empty."""
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    parts = text.split(",") if isinstance(text, str) else text
    return tuple(part.strip() for part in parts if part.strip())


_Port = Annotated[int, Field(ge=0, le=65535)]
_File = Annotated[Path | None, BeforeValidator(lambda value: value or None)]
_Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(split)]
"""Names or addresses, comma separated."""


class Variables(BaseSettings):
    """
    Everything that can be set, from the environment.

    Each field's description is its row in deploy/reference.md: meaning, unit, what 0 or empty does.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True)

    data_dir: Path = Field(
        Path("data"),
        description="Folder of the journal, the embedded store and its watermarks. With a "
        "ClickHouse server watermarks are in its tables.",
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
        (),
        description="Log Analytics workspaces to poll, comma separated. Empty: no poller. Nodes "
        "over one ClickHouse server take turns.",
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
    eventhub_group: str = Field(
        "hopline", description="Consumer group, whose members share the partitions."
    )
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

    @field_validator("*", mode="before")
    @classmethod
    def _is_no_service_link(cls, value: object, info: ValidationInfo) -> object:
        # A Service called hopline-ingest makes Kubernetes set HOPLINE_INGEST_PORT=tcp://10.0.0.1:4318.
        name = info.field_name or ""
        if name.endswith("_port") and isinstance(value, str) and SERVICE_URL.match(value):
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
                f"{value!r} is not an address: http(s)://host:port or grpc(s)://host:port of OTLP"
            )
        if is_grpc and (parts.port is None or parts.path not in ("", "/")):
            raise ValueError(f"{value!r} is not an address of OTLP over gRPC: grpc(s)://host:port")
        return value.rstrip("/")

    @field_validator("azure_resource_ids")
    @classmethod
    def _are_paths(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for resource in value:
            if not _RESOURCE_ID.fullmatch(resource):
                raise ValueError(
                    f"{resource!r} is not a resource id: `az resource show` prints it as `id`, "
                    "/subscriptions/…/resourceGroups/…/providers/…"
                )
        return value

    @field_validator("tenants")
    @classmethod
    def _are_tenants(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if not _TENANT.fullmatch(name) or len(name) > _MAX_TENANT_CHARACTERS:
                raise ValueError(
                    f"{name[:40]!r} is not a tenant name: at most {_MAX_TENANT_CHARACTERS} small "
                    "letters and digits, single - or _ between them"
                )
        if DEFAULT_TENANT in names:
            raise ValueError(f"{DEFAULT_TENANT} exists without being named")
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
    def _are_tenants_used(self) -> Self:
        names = self.tenants
        if self.pull_tenant not in ("", DEFAULT_TENANT, *names):
            raise ValueError(f"HOPLINE_PULL_TENANT={self.pull_tenant} is not in HOPLINE_TENANTS")
        for name in ("trusted_proxies", "oidc_tenant_claim"):
            if getattr(self, name) and not names:
                raise ValueError(f"HOPLINE_{name.upper()} needs HOPLINE_TENANTS")
        return self

    @model_validator(mode="after")
    def _is_safe_to_expose(self) -> Self:
        has_settings = split(self.ingest_tokens) and (split(self.query_tokens) or self.oidc_issuer)
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
            and not (split(self.query_tokens) or self.tokens_file or self.allow_unauthenticated)
        ):
            raise ValueError(
                "HOPLINE_SQL_PORT takes tokens, not people of HOPLINE_OIDC_ISSUER: set "
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
