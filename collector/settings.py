"""
The settings that each room receives: frozen parts of `config.Settings`, and nothing of the rest.
"""

from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

MIB = 1024 * 1024
DEFAULT_TENANT = "default"
"""How the tenant of everybody who has none is called where it needs a name."""


def is_loopback(bind: str) -> bool:
    """Tell whether only this machine reaches a socket that is bound to *bind*."""
    try:
        return ip_address(bind).is_loopback
    except ValueError:
        return bind == "localhost"


def of_number(name: str, number: int) -> str:
    """Return the name of what each ingest process has one of; the first one's has no number."""
    return f"{name}-{number}" if number else name


def find_numbered(first: Path, least: int = 1) -> tuple[Path, ...]:
    """Return what exists beside *first* for ingest processes from the number *least* on."""
    prefix = f"{first.stem}-"
    found = {
        int(path.stem.removeprefix(prefix)): path
        for path in first.parent.glob(f"{prefix}*{first.suffix}")
        if path.stem.removeprefix(prefix).isdigit()
    }
    return tuple(found[number] for number in sorted(found) if number >= least)


@dataclass(frozen=True, slots=True)
class TenantSettings:
    """
    Whose data are kept apart, and who may say whose a request is. No names: all is of one.

    `header` is in lower case; `proxies` are networks whose requests it is believed in.
    """

    names: tuple[str, ...] = ()
    header: str = "x-hopline-tenant"
    proxies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class JournalSettings:
    """
    Where segments lie, how much they may hold, when one is closed, and how long loaded ones stay.

    `abandoned` are folders that other processes wrote and none does any more.
    """

    directory: Path
    max_bytes: int
    segment_bytes: int
    segment_age_ms: int
    min_free_bytes: int = 0
    kept_s: int = 0
    kept_bytes: int = 0
    abandoned: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class RedactSettings:
    """What counts as a secret besides the built-in rules, and what is written in its place."""

    is_on: bool = True
    keys: tuple[str, ...] = ()
    rules_path: Path | None = None
    is_hashing: bool = False
    salt: str = field(default="", repr=False)
    salt_path: Path = Path("redact.salt")


@dataclass(frozen=True, slots=True)
class IntakeSettings:
    """
    What happens to a request between decoding and the journal, and where counters are shown.

    `outdated` are the counters of processes that there are no more.
    """

    redact: RedactSettings
    resend_window_s: int
    status_path: Path
    tenant: str = ""
    tenant_number: int = 0
    tenant_count: int = 1
    outdated: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """PEM files of every TCP port. No certificate: plain text; an authority: clients need one."""

    certificate: Path | None = None
    key: Path | None = None
    client_authority: Path | None = None


@dataclass(frozen=True, slots=True)
class OidcSettings:
    """Who signs the tokens of people, for whom, and which groups may read (none: all)."""

    issuer: str
    audience: str
    groups: tuple[str, ...] = ()
    tenant_claim: str = ""


@dataclass(frozen=True, slots=True)
class TelemetrySettings:
    """Where Hopline's own telemetry goes (OTLP over HTTP). No endpoint: nowhere."""

    endpoint: str = ""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    interval_s: int = 60


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """Where gateway records go as spans, of which gateways, and how long after they came."""

    endpoint: str = ""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    tenant_header: str = ""
    gateways: tuple[str, ...] = ()
    omitted: tuple[str, ...] = ()
    has_inferred_hops: bool = False
    wait_s: int = 60

    @property
    def is_grpc(self) -> bool:
        """Whether spans are sent over gRPC."""
        return self.endpoint.startswith("grpc")

    @property
    def traces_url(self) -> str:
        """The address that traces are posted to: the endpoint may name it whole."""
        base = self.endpoint.rstrip("/")
        return base if base.endswith("/v1/traces") else f"{base}/v1/traces"


@dataclass(frozen=True, slots=True)
class ReceiveSettings:
    """
    Sockets of an ingest process. A port of 0 turns a door off.

    With `shares_ports` others listen on the same ones, and the system divides the connections.
    """

    bind: str
    otlp_grpc_port: int
    ingest_port: int
    zipkin_port: int
    jaeger_http_port: int
    jaeger_grpc_port: int
    jaeger_udp_port: int
    tokens: tuple[str, ...]
    max_body_bytes: int
    max_inflight_bytes: int
    token_file: Path | None = None
    tls: TlsSettings = TlsSettings()
    allowed_hosts: tuple[str, ...] = ()
    read_tokens: tuple[str, ...] = ()
    must_sign_in: bool = False  # whoever reads, with an issuer's token
    tenants: TenantSettings = TenantSettings()
    pull_tenant: str = ""
    shares_ports: bool = False


@dataclass(frozen=True, slots=True)
class Cold:
    """
    Where parts lie from an age on: a volume of one of ClickHouse's storage policies.

    `engine_config` is the file that declares them to the embedded engine; a server has its own.
    """

    policy: str
    volume: str
    after_days: int
    engine_config: str = ""


@dataclass(frozen=True, slots=True)
class Retention:
    """
    How many days rows are kept; 0: for ever.

    `record_days` is of gateway records, stitched requests and changes, `span_days` of spans, logs
    and metrics. `keeps_spans`: of those that are worth it a copy is kept for `kept_days`. The pairs
    are APIs whose records and whose copies have other times. `from_file` names what is not as the
    settings say.
    """

    record_days: int = 0
    span_days: int = 0
    kept_days: int = 0
    keeps_spans: bool = False
    api_record_days: tuple[tuple[str, int], ...] = ()
    api_kept_days: tuple[tuple[str, int], ...] = ()
    cold: Cold | None = None
    from_file: tuple[str, ...] = ()

    @property
    def does_keep(self) -> bool:
        """Tell whether any copy would outlive what it was made of."""
        times = (self.kept_days, *(days for _, days in self.api_kept_days))
        return self.keeps_spans and any(outlives(each, self.span_days) for each in times)


def outlives(days: int, others: int) -> bool:
    """Tell whether what is kept for *days* is there after what is kept for *others*."""
    return others > 0 and not 0 < days <= others


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """
    Which ClickHouse, and how long rows are kept. An empty `url` means embedded chDB.

    Each `tenant` has a database of its own, named by `database` and itself.
    """

    url: str
    directory: Path
    database: str
    cluster: str
    flush_interval_ms: int
    memory_bytes: int
    query_timeout_s: int
    retention: Retention = Retention()
    tenant: str = ""
    loads_at_once: int = 1
    answer_timeout_s: int = 300


@dataclass(frozen=True, slots=True)
class DoorSettings:
    """What the first page tells of sending: ports of the doors that are open, 0: off."""

    ingest_port: int = 0
    otlp_grpc_port: int = 0
    needs_token: bool = False
    has_tls: bool = False


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """
    The query API's sockets and tokens, and the doors that its pages tell of.

    `jaeger_query_port` is Jaeger's query API over gRPC; a port of 0 is off.
    """

    bind: str
    port: int
    tokens: tuple[str, ...]
    ingest_tokens: tuple[str, ...] = ()
    doors: DoorSettings = DoorSettings()
    token_file: Path | None = None
    oidc: OidcSettings | None = None
    is_audited: bool = False
    tls: TlsSettings = TlsSettings()
    allowed_hosts: tuple[str, ...] = ()
    jaeger_query_port: int = 0
    tenants: TenantSettings = TenantSettings()


@dataclass(frozen=True, slots=True)
class SqlSettings:
    """The socket and tokens of ClickHouse's HTTP interface, and how long a statement may take."""

    bind: str
    port: int
    tokens: tuple[str, ...]
    timeout_s: int
    token_file: Path | None = None
    is_audited: bool = False
    tls: TlsSettings = TlsSettings()
    allowed_hosts: tuple[str, ...] = ()
    tenants: TenantSettings = TenantSettings()


@dataclass(frozen=True, slots=True)
class AzureSettings:
    """
    The Log Analytics poller. Neither workspace nor resource means that it does not run.

    `authority` is the host that gives tokens in the cloud that `endpoint` belongs to.
    """

    workspace_ids: tuple[str, ...]
    tables: tuple[str, ...]
    endpoint: str
    poll_interval_s: int
    overlap_s: int
    lookback_s: int
    max_window_s: int
    state_directory: Path
    is_insecure_endpoint_allowed: bool
    resource_ids: tuple[str, ...] = ()
    authority: str = ""

    @property
    def scopes(self) -> tuple[str, ...]:
        """What is asked: workspaces by their GUID, resources by their path."""
        return self.workspace_ids + self.resource_ids


@dataclass(frozen=True, slots=True)
class EventHubSettings:
    """The Event Hubs consumer (Kafka endpoint). No server means that it does not run."""

    bootstrap_servers: str
    connection_string: str
    topics: tuple[str, ...]
    group: str
    state_directory: Path
    dead_letter_directory: Path
    redact: RedactSettings = RedactSettings()


@dataclass(frozen=True, slots=True)
class GatewayLogSettings:
    """The UDP socket for a self-hosted gateway's own logs. A port of 0 turns it off."""

    bind: str
    port: int
    are_tokens_asked: bool
