"""
The composition root: which processes there are, and what each one is built from.

`hopline serve` runs a supervisor with two children, the ingest process and the store process. They
share the journal folder and nothing else: a crash of the engine never stops ingestion, and a query
never slows an acknowledgement. `--role` runs one part in this process. With
`HOPLINE_INGEST_PROCESSES` there are several of the first kind, `ingest`, `ingest-1` and so on, on
the same ports: each has a journal of its own, and only the first one polls and takes datagrams.
Where several nodes share a ClickHouse server, `polling.py` has them poll in turn.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from collector.clock import SystemClock
from collector.config import Settings
from collector.errors import ConfigError, StoreUnavailable
from collector.http.tokens import check_token_tenants
from collector.model import Stream
from collector.own_telemetry import export_telemetry
from collector.process import end_with_parent, hold_folder, is_orphan
from collector.resends import Sharing, share_resends
from collector.settings import of_number
from collector.supervisor import PARENT, Supervisor, log, tell_ready
from collector.telemetry import METRICS, Metrics

if TYPE_CHECKING:
    from collector.export.worker import Exporter
    from collector.polling import SharedPolling
    from collector.query.service import QueryService
    from collector.store import Store
    from collector.store.loader import Loader

_Ready = Callable[[], None]
_Main = Callable[[Settings, asyncio.Event, _Ready], Awaitable[None]]
_PARENT_CHECK_S = 0.5
_DRAIN_S = 30.0
_held: list[int] = []
_CONNECT_RETRY_S = 2.0
# a claim lasts longer: an answer that takes so long loses no turn
_TURNS_TIMEOUT_S = 10


def run(settings: Settings, role: str) -> int:
    """
    Run *role* until SIGTERM or SIGINT and return the exit status.

    Raises:
        ConfigError: a port is taken, or the role cannot work with these settings.
    """
    from collector.decode.gateways import use_mappings
    from collector.decode.records.from_spans import parse_service_rules

    parse_service_rules(settings.gateway_spans)
    use_mappings(settings.gateway_mappings)
    if settings.tokens_file:
        check_token_tenants(settings.tokens_file, settings.tenancy())
    parent = os.environ.get(PARENT, "")
    if parent:
        end_with_parent(int(parent))
    os.umask(0o077)
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with contextlib.suppress(PermissionError):  # a mounted volume can belong to another user
        settings.data_dir.chmod(0o700)
    kind, _, number = role.partition("-")
    children = _children(settings, role, is_child=bool(parent))
    if role != "query":
        # kept until the process ends: a second one would answer for, or delete, what this one holds
        patience_s = _DRAIN_S if parent else 0  # the child of a killed supervisor may still drain
        held = "ingest-all" if children and role == "ingest" else role
        _held.append(hold_folder(settings.data_dir, held, patience_s))
    logging.basicConfig(
        level=settings.log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    # its start and stop lines say nothing that ours do not
    logging.getLogger("uvicorn").setLevel("WARNING")
    # azure-core writes every request with all of its headers at INFO
    logging.getLogger("azure").setLevel("WARNING")
    if children:
        _check_ports(settings, role)
        announce = lambda: _announce(settings, role)  # noqa: E731 - one line, used once
        sharing = share_resends() if settings.ingest_processes > 1 else Sharing()
        return Supervisor(
            settings.data_dir,
            children,
            announce,
            descriptors=sharing.descriptors,
            environment=sharing.environment,
        ).run()
    if role == "query" and not settings.store().url:
        raise ConfigError(
            "role query needs a ClickHouse server",
            hint="set HOPLINE_CLICKHOUSE_URL; the embedded engine belongs to role store",
        )
    if settings.tenancy().names:
        METRICS.of_tenant("")  # before anything is counted
    settings = settings.of_ingest_process(int(number or 0))
    METRICS.share(settings.data_dir / "status" / "metrics", role)
    mains: dict[str, _Main] = {"ingest": run_ingest, "store": run_store, "query": run_query}
    with (
        export_telemetry(settings.telemetry(), role, METRICS),
        asyncio.Runner(loop_factory=_make_loop) as runner,
    ):
        runner.run(_until_signal(mains[kind], settings))
    return 0


def _children(settings: Settings, role: str, *, is_child: bool) -> tuple[str, ...]:
    """Return the roles of the processes that *role* is a supervisor of; none: it does the work."""
    ingest = tuple(of_number("ingest", each) for each in range(settings.ingest_processes))
    if role == "all":
        return (*ingest, "store")
    return ingest if role == "ingest" and len(ingest) > 1 and not is_child else ()


async def run_ingest(settings: Settings, stop: asyncio.Event, ready: _Ready) -> None:
    """Serve the doors and run the pollers in front of one journal; drain before returning."""
    from collector.intake import build_intake
    from collector.pull.pollers import run_pollers
    from collector.receive.serve import run_doors

    clock = SystemClock()
    async with contextlib.AsyncExitStack() as stack:
        intake = await stack.enter_async_context(build_intake(settings, clock, METRICS))
        if settings.is_first_ingest_process:
            turns = _share_polling(settings)
            if turns is not None:
                stack.enter_context(turns.claiming())
            pollers = run_pollers(
                settings.azure(),
                settings.event_hub(),
                settings.gateway_log(),
                intake=intake.of(settings.tenant_of_pulled()),
                clock=clock,
                metrics=METRICS,
                stop=stop,
                open_progress=turns.open if turns is not None else None,
            )
            await stack.enter_async_context(pollers)
        await run_doors(settings, intake, METRICS, stop, ready)


def _share_polling(settings: Settings) -> "SharedPolling | None":
    """Return the turns of pollers where other nodes may poll the same sources."""
    tenant = settings.tenant_of_pulled()
    chosen = replace(settings.store(tenant), answer_timeout_s=_TURNS_TIMEOUT_S)
    if not chosen.url or not settings.azure().scopes:
        return None
    # the driver takes memory, and most nodes poll nothing
    from collector.polling import SharedPolling
    from collector.store import open_store

    metrics = _metrics(settings, tenant)
    open_own = lambda: open_store(chosen, SystemClock(), metrics)  # noqa: E731 - one line, used once
    return SharedPolling(open_own, settings.tenant_dir(tenant), SystemClock(), METRICS)


async def run_store(settings: Settings, stop: asyncio.Event, ready: _Ready) -> None:
    """Load the journals and answer questions over one ClickHouse."""
    from collector.query.learned.nodes import Nodes, publish_all
    from collector.store.loader import run_in_turns

    async with _open_stores(settings, stop) as stores:
        if not stores:
            return
        loaders = [_build_loader(settings, tenant, store) for tenant, store in stores.items()]
        nodes = [Nodes(store, settings.tenant_dir(tenant)) for tenant, store in stores.items()]
        async with (
            _running(partial(run_in_turns, loaders), "loader"),
            _running(partial(publish_all, nodes), "nodes"),
        ):
            await _serve_api(settings, stores, stop, ready, is_stitching=True)


def _build_loader(settings: Settings, tenant: str, store: "Store") -> "Loader":
    from collector.decode.records.from_spans import parse_service_rules
    from collector.gateway_rows import GatewayRows
    from collector.journal import JournalFolder
    from collector.store.loader import Loader

    kept = settings.journal(tenant)
    journal = JournalFolder(kept.directory, kept_s=kept.kept_s, kept_bytes=kept.kept_bytes)
    rows = GatewayRows(store, journal, parse_service_rules(settings.gateway_spans))
    return Loader(
        rows,
        journal,
        _metrics(settings, tenant),
        rewrite=_rewrite_refused,
        describe=_describe_damaged,
        min_free_bytes=kept.min_free_bytes,
        at_once=store.settings.loads_at_once,
    )


def _metrics(settings: Settings, tenant: str) -> Metrics:
    return METRICS.of_tenant(tenant) if settings.tenancy().names else METRICS


def _rewrite_refused(stream: Stream, message: bytes) -> bytes:
    # the decoders take memory, and a store process nearly never needs them
    from collector.intake import rewrite_refused

    return rewrite_refused(stream, message)


def _describe_damaged(stream: Stream, damaged: bytes) -> str:
    from collector.intake import describe_damaged

    return describe_damaged(stream, damaged)


async def run_query(settings: Settings, stop: asyncio.Event, ready: _Ready) -> None:
    """Answer questions over a ClickHouse server that other processes load."""
    async with _open_stores(settings, stop) as stores:
        if stores:
            await _serve_api(settings, stores, stop, ready)


@contextlib.asynccontextmanager
async def _open_stores(
    settings: Settings, stop: asyncio.Event
) -> AsyncIterator[Mapping[str, "Store"]]:
    """Open each tenant's store, the default one's under ""; none when *stop* comes first."""
    with contextlib.ExitStack() as stack:
        stores: dict[str, Store] = {}
        for tenant in settings.tenant_names():
            store = await _open_store(settings, tenant, stop)
            if store is None:
                stores = {}
                break
            stack.callback(store.close)
            stores[tenant] = store
        yield stores


async def _open_store(settings: Settings, tenant: str, stop: asyncio.Event) -> "Store | None":
    """Connect and migrate; wait for a server that is not there yet."""
    from collector.store import open_store

    def open_and_migrate() -> "Store":
        metrics = _metrics(settings, tenant)
        store = open_store(settings.store(tenant), SystemClock(), metrics)
        try:
            store.migrate()
        except BaseException:
            store.close()
            raise
        return store

    while not stop.is_set():
        try:
            return await asyncio.to_thread(open_and_migrate)
        except StoreUnavailable as exc:
            log(f"{exc.message}; trying again in {_CONNECT_RETRY_S:g} s")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _CONNECT_RETRY_S)
    return None


async def _serve_api(
    settings: Settings,
    stores: Mapping[str, "Store"],
    stop: asyncio.Event,
    ready: _Ready,
    *,
    is_stitching: bool = False,
) -> None:
    from collector.api.clickhouse.server import open_sql_port
    from collector.api.serve import run_api
    from collector.decode.records.from_spans import parse_service_rules
    from collector.decode.redaction.rules import build_secrets
    from collector.query.learned.freshness import Freshness
    from collector.query.service import QueryService

    services = parse_service_rules(settings.gateway_spans)
    # what they learn and remember is of one tenant: nothing is shared but the threads
    questions = {
        tenant: QueryService(
            store,
            SystemClock(),
            Freshness(store, SystemClock(), settings.tenant_dir(tenant)),
            metrics=_metrics(settings, tenant),
            gateway_services=services,
            secrets=build_secrets(settings.redaction(tenant)),
        )
        for tenant, store in stores.items()
    }
    health = lambda: _check_health(settings, stores[""])  # noqa: E731 - one line, used once
    async with contextlib.AsyncExitStack() as stack:
        if is_stitching and settings.background_cpu_percent:
            share = settings.background_cpu_percent / 100 / len(questions)
            for each in questions.values():
                work = each.background(share)
                await stack.enter_async_context(_running(work.run, "background"))
        if is_stitching and settings.export_otlp_endpoint:
            for tenant in questions if settings.export_otlp_tenant_header else ("",):
                export = _build_exporter(settings, tenant, stores[tenant], questions[tenant])
                await stack.enter_async_context(_running(export.run, "export"))
        own = questions.pop("")
        await stack.enter_async_context(open_sql_port(stores, settings.sql(), own.secrets))
        await run_api(own, settings.api(), health, stop, ready, others=questions)


def _build_exporter(
    settings: Settings, tenant: str, store: "Store", questions: "QueryService"
) -> "Exporter":
    # OpenTelemetry's exporter takes memory, and most do not export
    from collector.export.sending import open_sender
    from collector.export.worker import Exporter

    chosen = settings.export()
    sender = open_sender(chosen, tenant)
    return Exporter(store, SystemClock(), questions.rows, sender, chosen, questions.metrics)


@contextlib.asynccontextmanager
async def _running(work: Callable[[threading.Event], None], name: str) -> AsyncIterator[None]:
    """Do *work* in a thread of its own, and wait for its end."""
    halt = threading.Event()
    thread = threading.Thread(target=work, args=(halt,), name=name)
    thread.start()
    try:
        yield
    finally:
        halt.set()
        await asyncio.to_thread(thread.join)


def _check_health(settings: Settings, store: "Store") -> dict[str, str]:
    """Return what each component says: `ok`, or what is wrong with it."""
    from collector.journal import all_folders, describe_shortage, free_bytes

    journals = [each for each in all_folders(settings.journal().directory) if each.exists()]
    answers = {"store": "ok", "disk": "ok"}
    if journals:  # a query node has none
        are_writable = all(os.access(each, os.W_OK) for each in journals)
        answers["journal"] = "ok" if are_writable else "not writable"
    free = free_bytes(settings.data_dir)
    METRICS.gauge("hopline_journal_disk_free_bytes", free)
    if free < settings.min_free_bytes:
        answers["disk"] = describe_shortage(free, settings.min_free_bytes)
    try:
        store.ping()
    except StoreUnavailable as exc:
        answers["store"] = exc.message
    return answers


def _make_loop() -> asyncio.AbstractEventLoop:
    import uvloop

    return uvloop.new_event_loop()


async def _until_signal(main: _Main, settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    watcher = asyncio.create_task(_stop_with_parent(stop))
    try:
        await main(settings, stop, tell_ready)
    finally:
        watcher.cancel()


async def _stop_with_parent(stop: asyncio.Event) -> None:
    """Notice that the supervisor was killed where the system does not tell."""
    parent = os.environ.get(PARENT, "")
    if not parent:
        return
    while not is_orphan(int(parent)):  # noqa: ASYNC110 - nothing tells of a parent's end
        await asyncio.sleep(_PARENT_CHECK_S)
    stop.set()


def _check_ports(settings: Settings, role: str) -> None:
    """Find a taken port before anything starts, and name the setting that moves it."""
    names = ["otlp_grpc_port", "ingest_port"]
    if role == "all":
        names += ["api_port", "sql_port", "jaeger_query_port"]
    if settings.ingest_processes > 1:
        # these share their ports with whoever wants to, so nobody else would notice
        names += ["zipkin_port", "jaeger_http_port", "jaeger_grpc_port"]
    for name in names:
        port = getattr(settings, name)
        family = socket.AF_INET6 if ":" in settings.bind else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((settings.bind, port))
            except OSError as exc:
                raise ConfigError(
                    f"port {port} on {settings.bind} cannot be used: {exc.strerror}",
                    hint=f"set HOPLINE_{name.upper()} to another port, or stop what listens there",
                ) from exc


def _announce(settings: Settings, role: str) -> None:
    lines = ["ready"]
    doors = [
        ("OTLP/gRPC", settings.otlp_grpc_port, "{}:{}"),
        ("OTLP/HTTP", settings.ingest_port, "http://{}:{}"),
    ]
    if role == "all":
        doors += [
            ("questions", settings.api_port, "http://{}:{}"),
            ("ClickHouse HTTP", settings.sql_port, "http://{}:{}"),
            ("Jaeger query gRPC", settings.jaeger_query_port, "{}:{}"),
        ]
    lines += [f"  {name}  {form.format(settings.bind, port)}" for name, port, form in doors if port]
    sys.stderr.write("hopline: " + "\n".join(lines) + "\n")
    sys.stderr.flush()
