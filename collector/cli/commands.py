"""
The questions of the `hopline` command: each asks the query API and prints what it answers.

Options have the names of the API's parameters. What is printed is for people; `--json` prints the
answer as it came. Drawing is imported by the command that draws.
"""

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from collector.errors import BadQuestion
from collector.query.search.filters import OF_LISTS, PARAMETERS

if TYPE_CHECKING:
    from collector.cli.ink import Ink
    from collector.cli.server import Server

Document = Mapping[str, Any]
_PIPE_COLUMNS = 160
_FILTERS = {parameter.name: parameter.description for parameter in PARAMETERS}
_OF_RECORDS = (
    "start", "end", "gateway", "api", "operation", "route", "method", "host", "consumer",
    "revision", "status", "error",
)  # fmt: skip
_OF_STITCHED = (*_OF_RECORDS, "service")
# Of single questions; what they mean to the API is with the question.
_OWN = {
    "group_by": "Tell requests apart by these fields too: consumer, operation, revision, region…",
    "select": "Look at those that are `slow` (default), that `failed`, or `all`.",
    "slower_than_ms": "What is slow; default: the 95th percentile. A unit may follow (1.5s).",
    "baseline": "Hold them against `previous` (the range before), `day`, `week`, or filters.",
    "operations": "`true`: operations of the gateways between them and the services.",
    "kind": "Only changes of this kind: rollout, revision, pods, node, backend, policy, told…",
    "p50_ms": "What the median may be: 300ms, 1.5s.",
    "p95_ms": "What the 95th percentile may be.",
    "p99_ms": "What the 99th percentile may be.",
    "objective": "Per cent of the requests that have to be good: 99.5.",
    "good_within_ms": "With --objective: the longest that a good request takes.",
}


def _asks(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say whom to ask; the command gets a `Server`."""

    @wraps(command)
    def run(*args: Any, url: str | None, token: str | None, **given: Any) -> Any:
        from collector.cli.server import Server

        return command(*args, server=Server.from_environment(url, token), **given)

    for option in (
        click.option("--token", help="Bearer token of the query API (HOPLINE_TOKEN)."),
        click.option(
            "--url",
            help="The query API (HOPLINE_URL, else this machine at HOPLINE_API_PORT or 8080).",
        ),
    ):
        run = option(run)
    return run


def _filtered(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add filters of the API as options; the command gets those that were given, as `pairs`."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def run(*args: Any, **given: Any) -> Any:
            pairs = [(name, given.pop(name)) for name in names]
            return command(*args, pairs=[(n, v) for n, v in pairs if v is not None], **given)

        for name in reversed(names):
            # a duration says its unit itself, so `--p95 300ms` needs no other one
            plain = name.removesuffix("_ms") if name in _OWN else name
            spelled = dict.fromkeys(f"--{each}" for each in (plain.replace("_", "-"), plain, name))
            text = _OWN.get(name) or _FILTERS[name]
            run = click.option(*spelled, name, help=text, metavar="TEXT")(run)
        return run

    return add


_as_json = click.option("--json", "is_json", is_flag=True, help="Print the answer as it came.")


def _page(is_json: bool, document: Document, draw: Callable[[Document, "Ink", int], Any]) -> int:
    """Print an answer, as JSON or drawn."""
    from collector.cli.ink import Ink, write, write_json

    if is_json:
        write_json(document)
        return 0
    for line in draw(document, Ink.of_terminal(), _columns()):
        write(line + "\n")
    return 0


def _columns() -> int:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else _PIPE_COLUMNS


@click.command(help="Show one request as a waterfall, by any id.")
@click.argument("id", required=False, metavar="[ID]")
@click.option("--api", help="Without an id: the API that was called.")
@click.option("--at", help="Without an id: about when, within 5 minutes (default: now).")
@click.option("--status", help="Without an id: the status that the client got, such as 504 or 5xx.")
@click.option("--consumer", help="Without an id: who called.")
@click.option("--route", help="Without an id: the route as lists show it.")
@click.option("--operation", help="Without an id: the operation of the API.")
@click.option("--method", help="Without an id: the HTTP method.")
@click.option("--service", help="Without an id: a service that took part.")
@click.option("--width", type=int, help="Columns to draw on.")
@click.option(
    "--format", "form", type=click.Choice(("waterfall", "markdown", "json")), default="waterfall"
)
@_as_json
@click.option("--bundle", type=click.Path(path_type=Path), help="Write a redacted file to pass on.")
@_asks
def explain(
    id: str | None,  # noqa: A002 - the argument's name in the usage
    server: "Server",
    width: int | None,
    form: str,
    is_json: bool,
    bundle: Path | None,
    **description: str | None,
) -> int:
    from collector.cli.explain import explain, find_described

    described = {name: text for name, text in description.items() if text}
    if not id and not described:
        raise BadQuestion(
            "explain needs an id, or a description",
            hint="for example: hopline explain --api orders --status 504 --at -20m",
        )
    return explain(
        id or find_described(described, server),
        server,
        width=width,
        form="json" if is_json else form,
        bundle=bundle,
    )


@click.command(help="List requests, the slowest first.")
@_filtered(*_FILTERS)
@_as_json
@_asks
def requests(server: "Server", pairs: list[tuple[str, str]], is_json: bool) -> int:
    from collector.cli.lists import draw_requests

    return _page(is_json, server.ask("/api/v1/requests", pairs), draw_requests)


@click.command(help="Say why requests are slow or fail in general.")
@_filtered(*_OF_STITCHED, "select", "slower_than_ms", "baseline")
@_as_json
@_asks
def slow(server: "Server", pairs: list[tuple[str, str]], is_json: bool) -> int:
    from collector.cli.reports import draw_slow

    return _page(is_json, server.ask("/api/v1/slow", pairs), draw_slow)


@click.command(help="List services: rates, errors, own time, proxies.")
@_filtered(*_OF_STITCHED)
@_as_json
@_asks
def services(server: "Server", pairs: list[tuple[str, str]], is_json: bool) -> int:
    from collector.cli.reports import draw_services

    return _page(is_json, server.ask("/api/v1/services", pairs), draw_services)


@click.command(help="List who calls whom, with rates and retries.")
@_filtered(*_OF_STITCHED, "operations")
@_as_json
@_asks
def edges(server: "Server", pairs: list[tuple[str, str]], is_json: bool) -> int:
    from collector.cli.reports import draw_edges

    return _page(is_json, server.ask("/api/v1/edges", pairs), draw_edges)


@click.command(help="List what changed, and what came of it.")
@_filtered("start", "end", "gateway", "api", "service", "kind", "limit")
@_as_json
@_asks
def changes(server: "Server", pairs: list[tuple[str, str]], is_json: bool) -> int:
    from collector.cli.reports import draw_changes

    return _page(is_json, server.ask("/api/v1/changes", pairs), draw_changes)


@click.command(help="Check latency and errors against targets.")
@_filtered(
    *(name for name in _OF_STITCHED if name not in ("status", "error")),
    "p50_ms", "p95_ms", "p99_ms", "objective", "good_within_ms",
)  # fmt: skip
@_as_json
@_asks
def budget(server: "Server", pairs: list[tuple[str, str]], is_json: bool) -> int:
    """Exit with 3 when a target is missed, and with 4 when too little is known to tell."""
    from collector.cli.reports import draw_budget

    found = server.ask("/api/v1/budget", pairs)
    _page(is_json, found, draw_budget)
    # 1 is any failure to ask, 2 a wrong option
    return {"none": 0, "kept": 0, "unsure": 0, "missed": 3}.get(str(found.get("verdict")), 4)


@click.command(help="List the gateways' APIs, with percentiles.")
@_filtered(*_OF_RECORDS, "group_by")
@_as_json
@_asks
def apis(server: "Server", pairs: list[tuple[str, str]], is_json: bool) -> int:
    from collector.cli.lists import draw_apis

    return _page(is_json, server.ask("/api/v1/apis", pairs), draw_apis)


@click.command(help="Hold one request against another one.")
@click.argument("a")
@click.argument("b", required=False)
@_as_json
@_asks
def compare(server: "Server", a: str, b: str | None, is_json: bool) -> int:
    """Without B: against the typical request of the same route."""
    from collector.cli.lists import draw_comparison

    found = server.ask("/api/v1/compare", [("a", a), ("b", b or "")])
    return _page(is_json, found, draw_comparison)


@click.command(help="Say what is wrong again and again, and the fix.")
@_filtered("start", "end", "api", "limit")
@click.option(
    "--source",
    type=click.Choice(("azure",)),
    help="Check step by step whether this source can be read, and say what to grant.",
)
@_as_json
@_asks
def doctor(
    server: "Server", pairs: list[tuple[str, str]], source: str | None, is_json: bool
) -> int:
    if source:
        from collector.cli.doctor_azure import doctor_azure
        from collector.config import load_settings

        return doctor_azure(load_settings().azure(), server)
    from collector.cli.lists import draw_doctor

    return _page(is_json, server.ask("/api/v1/doctor", pairs), draw_doctor)


@click.command(help="List every source: last seen, lag, counts.")
@_as_json
@_asks
def sources(server: "Server", is_json: bool) -> int:
    from collector.cli.lists import draw_sources

    return _page(is_json, server.ask("/api/v1/sources"), draw_sources)


@click.command(help="Say what is kept, what it takes, and what other times would.")
@_as_json
@_asks
def storage(server: "Server", is_json: bool) -> int:
    from collector.cli.storage import draw_storage

    return _page(is_json, server.ask("/api/v1/storage"), draw_storage)


@click.command(help="Say what machines a load takes, from measured figures.")
@click.option("--requests-per-day", type=float, required=True, help="Such as 3e8.")
@click.option("--spans", type=float, default=25, show_default=True, help="Spans a request.")
@click.option("--batch", type=float, default=100, show_default=True, help="Spans a message.")
@click.option(
    "--peak", type=float, default=3, show_default=True, help="The busiest minutes against the mean."
)
@click.option("--span-days", type=float, default=7, show_default=True, help="Days spans are kept.")
@click.option(
    "--record-days", type=float, default=90, show_default=True, help="Days records are kept."
)
@click.option(
    "--simulate",
    is_flag=True,
    help="Also how journals fill at the peak, and when the engine is away.",
)
@_as_json
def capacity(is_json: bool, simulate: bool, **given: float) -> int:
    from collector.cli.capacity import Load, describe, draw_plan

    problem = next((name for name, value in given.items() if not 0 < value < 1e15), "")
    if problem:
        raise click.UsageError(f"--{problem.replace('_', '-')} must be more than 0")
    document = describe(Load(**given))
    if simulate:
        from collector.cli.queueing import describe_scenarios

        document = {**document, "simulation": describe_scenarios(Load(**given))}
    return _page(is_json, document, draw_plan)


@click.command(help="Print requests as they become known.")
@_filtered(*(name for name in _FILTERS if name not in OF_LISTS))
@_as_json
@_asks
def tail(server: "Server", pairs: list[tuple[str, str]], is_json: bool) -> int:
    """Print one line a request until it is interrupted; with --json one object a line."""
    from collector.cli.ink import Ink, write, write_json
    from collector.cli.lists import draw_event

    ink = Ink.of_terminal()
    try:
        for name, event in server.follow("/api/v1/tail", pairs):
            if is_json:
                write_json({"event": name, **event}, indent=None)
            else:
                write(draw_event(name, event, ink, _columns()) + "\n")
    except KeyboardInterrupt:
        return 0
    return 0


@click.command(help="Serve the questions to an assistant (MCP over stdio).")
@_asks
def mcp(server: "Server") -> int:
    """Ask the query API for an assistant that started this command."""
    import asyncio

    from collector.api.assistants import build_assistant_server

    async def ask(path: str, pairs: Sequence[tuple[str, str]]) -> Mapping[str, Any] | str:
        if ("format", "markdown") in pairs:
            return (await asyncio.to_thread(server.read, path, pairs)).decode()
        return await asyncio.to_thread(server.ask, path, pairs)

    asyncio.run(build_assistant_server(ask, server.url).run_stdio_async())
    return 0


QUESTIONS = (
    explain, requests, slow, apis, services, edges, changes, budget, compare, tail, doctor,
    sources, storage, capacity, mcp,
)  # fmt: skip
