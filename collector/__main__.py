"""
The `hopline` command.

Imports stay inside the commands: `hopline --help` has to answer in 0.3 s, and the engine alone
takes longer than that to load.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from collector import __version__
from collector.errors import BadQuestion, CollectorError, ConfigError
from collector.supervisor import EXIT_CONFIG

if TYPE_CHECKING:
    from collector.config import Settings

    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]

_DEFAULT_URL = "http://127.0.0.1:8080"
_DESCRIPTION = {
    "api": "without an id: the API that was called",
    "at": "without an id: about when, within 5 minutes (default: now)",
    "status": "without an id: the status that the client got",
    "consumer": "without an id: who called",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; errors of ours become one line on stderr and exit status 1."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.command(options)
    except CollectorError as exc:
        hint = f"\n  {exc.hint}" if exc.hint else ""
        print(f"hopline: {exc.message}{hint}", file=sys.stderr)
        return EXIT_CONFIG if isinstance(exc, ConfigError) else 1
    except BrokenPipeError:
        # the reader of a pipe (head, less) has left; that is no error of ours
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hopline",
        description="Joins API gateway records with service-mesh spans: one timeline per request.",
        epilog="Settings are HOPLINE_* variables; `hopline check-config` shows what is in force.",
    )
    parser.add_argument("--version", action="version", version=f"hopline {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    _add_serve(commands)
    _add_demo(commands)
    _add_explain(commands)
    _add_doctor(commands)
    _add_operations(commands)
    return parser


def _add_serve(commands: "_Commands") -> None:
    serve = commands.add_parser("serve", help="run the service")
    serve.add_argument(
        "--role",
        default="all",
        choices=("all", "ingest", "store", "query"),
        help="all (default): ingest and store; query: the API over a ClickHouse server",
    )
    _add_data_dir(serve)
    serve.set_defaults(command=_serve)


def _add_demo(commands: "_Commands") -> None:
    demo = commands.add_parser("demo", help="run the service with a small shop, and traffic")
    demo.set_defaults(command=_demo)


def _add_explain(commands: "_Commands") -> None:
    explain = commands.add_parser("explain", help="show one request as a waterfall")
    explain.add_argument("id", nargs="?", help="any id of the request, or a bundle file")
    for name, meaning in _DESCRIPTION.items():
        explain.add_argument(f"--{name}", default="", help=meaning)
    explain.add_argument("--url", default=None, help=f"the query API (default {_DEFAULT_URL})")
    explain.add_argument("--token", default=None, help="bearer token of the query API")
    explain.add_argument("--width", type=int, default=None, help="columns to draw on")
    explain.add_argument("--format", default="waterfall", choices=("waterfall", "markdown", "json"))
    explain.add_argument("--bundle", type=Path, default=None, help="write a file to pass on")
    explain.set_defaults(command=_explain)


def _add_doctor(commands: "_Commands") -> None:
    doctor = commands.add_parser("doctor", help="check a source step by step, and say what to do")
    doctor.add_argument("--source", required=True, choices=("azure",), help="what is checked")
    doctor.add_argument("--url", default=None, help=f"the query API (default {_DEFAULT_URL})")
    doctor.add_argument("--token", default=None, help="bearer token of the query API")
    doctor.set_defaults(command=_doctor)


def _add_operations(commands: "_Commands") -> None:
    check = commands.add_parser("check-config", help="print the settings in force, secrets masked")
    check.set_defaults(command=_check_config)

    migrate = commands.add_parser("migrate", help="bring the tables up to date and exit")
    _add_data_dir(migrate)
    migrate.set_defaults(command=_migrate)

    replay = commands.add_parser(
        "replay", help="put dead letters back into the journal, to be loaded again"
    )
    _add_data_dir(replay)
    replay.set_defaults(command=_replay)

    verify = commands.add_parser("verify", help="check the journal's checksums and the tables")
    _add_data_dir(verify)
    verify.set_defaults(command=_verify)


def _add_data_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data-dir", type=Path, default=None, help="overrides HOPLINE_DATA_DIR")


def _settings(options: argparse.Namespace) -> "Settings":
    from collector.config import load_settings

    data_dir = getattr(options, "data_dir", None)
    return load_settings(**({"data_dir": data_dir} if data_dir else {}))


def _serve(options: argparse.Namespace) -> int:
    from collector.app import run

    return run(_settings(options), options.role)


def _demo(options: argparse.Namespace) -> int:
    from collector.demo.__main__ import main as run_demo

    return run_demo()


def _explain(options: argparse.Namespace) -> int:
    from collector.cli.explain import explain, find_described

    url = options.url or os.environ.get("HOPLINE_URL", _DEFAULT_URL)
    token = options.token or os.environ.get("HOPLINE_TOKEN", "")
    description = {name: getattr(options, name) for name in _DESCRIPTION}
    if not options.id and not any(description.values()):
        raise BadQuestion(
            "explain needs an id, or a description",
            hint="for example: hopline explain --api orders --status 504 --at -20m",
        )
    return explain(
        options.id or find_described(description, url=url, token=token),
        url=url,
        token=token,
        width=options.width,
        form=options.format,
        bundle=options.bundle,
    )


def _doctor(options: argparse.Namespace) -> int:
    from collector.cli.doctor_azure import doctor_azure

    return doctor_azure(
        _settings(options).azure(),
        url=options.url or os.environ.get("HOPLINE_URL", _DEFAULT_URL),
        token=options.token or os.environ.get("HOPLINE_TOKEN", ""),
    )


def _check_config(options: argparse.Namespace) -> int:
    from pydantic import SecretStr

    from collector.decode.records.from_spans import parse_service_rules

    settings = _settings(options)
    parse_service_rules(settings.gateway_spans)
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            value = "(set)" if value.get_secret_value() else ""
        print(f"HOPLINE_{name.upper()}={value}")
    return 0


def _migrate(options: argparse.Namespace) -> int:
    from collector.operations import migrate

    return migrate(_settings(options))


def _replay(options: argparse.Namespace) -> int:
    from collector.operations import replay

    return replay(_settings(options))


def _verify(options: argparse.Namespace) -> int:
    from collector.operations import verify

    return verify(_settings(options))


if __name__ == "__main__":
    sys.exit(main())
