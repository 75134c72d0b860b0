"""
The `hopline` command: running the service, and operating it. The questions are in `cli.commands`.

Imports stay inside the commands: `hopline --help` has to answer in 0.3 s, and the engine alone
takes longer than that to load.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from collector import __version__
from collector.cli.commands import QUESTIONS
from collector.errors import CollectorError, ConfigError
from collector.supervisor import EXIT_CONFIG

if TYPE_CHECKING:
    from collector.config import Settings

_HELP = "Joins API gateway records with service-mesh spans: one timeline per request."
_EPILOG = (
    "Settings are HOPLINE_* variables; `hopline check-config` shows what is in force. Questions "
    "are asked of the service at HOPLINE_URL, or of the one on this machine."
)


@click.group(help=_HELP, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="hopline %(version)s")
def hopline() -> None:
    pass


for _question in QUESTIONS:
    hopline.add_command(_question)

_data_dir = click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Overrides HOPLINE_DATA_DIR."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; errors of ours become one line on stderr and exit status 1."""
    given = None if arguments is None else list(arguments)
    try:
        status = hopline.main(given, prog_name="hopline", standalone_mode=False)
    except CollectorError as exc:
        hint = f"\n  {exc.hint}" if exc.hint else ""
        click.echo(f"hopline: {exc.message}{hint}", err=True)
        return EXIT_CONFIG if isinstance(exc, ConfigError) else 1
    except click.ClickException as exc:
        exc.show()
        return exc.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        # the reader of a pipe (head, less) has left; that is no error of ours
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status if isinstance(status, int) else 0


class _Role(click.Choice[str]):
    """What a process does; `ingest-1` and so on are for the children of one."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value.startswith("ingest-") and value.removeprefix("ingest-").isdigit():
            return value
        return super().convert(value, param, ctx)


@hopline.command(help="Run the service.")
@click.option(
    "--role",
    type=_Role(("all", "ingest", "store", "query")),
    default="all",
    help="all (default): ingest and store; query: the API over a ClickHouse server.",
)
@_data_dir
def serve(role: str, data_dir: Path | None) -> int:
    from collector.app import run

    return run(_settings(data_dir), role)


@hopline.command(help="Run the service with a small shop, and traffic.")
def demo() -> int:
    from collector.demo.__main__ import main as run_demo

    return run_demo()


@hopline.command(help="Print the settings in force, secrets masked.")
def check_config() -> int:
    from pydantic import SecretStr

    from collector.decode.gateways import use_mappings
    from collector.decode.records.from_spans import parse_service_rules
    from collector.decode.redaction.redactor import Redactor
    from collector.decode.redaction.rules import build_redactor
    from collector.http.tls import open_certificate
    from collector.http.tokens import check_token_tenants

    settings = _settings(None)
    open_certificate(settings.tls())
    if settings.tokens_file:
        check_token_tenants(settings.tokens_file, settings.tenancy())
    build_redactor(settings.redaction())
    settings.store()
    redactor = Redactor()
    parse_service_rules(settings.gateway_spans)
    use_mappings(settings.gateway_mappings)
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            value = "(set)" if value.get_secret_value() else ""
        else:
            shown = (
                ",".join(value) if isinstance(value, tuple) else str("" if value is None else value)
            )
            value = redactor.redact_text(shown)
        click.echo(f"HOPLINE_{name.upper()}={value}")
    return 0


@hopline.command(help="Make a token and the entry of HOPLINE_TOKENS_FILE for it.")
@click.argument("name")
@click.option(
    "--scope",
    type=click.Choice(("ingest", "read", "admin")),
    multiple=True,
    default=("ingest",),
    help="What it may do; more than once if more. Default: ingest.",
)
@click.option("--tenant", default="", help="Whose data it is for; * for a trusted proxy.")
def token(name: str, scope: tuple[str, ...], tenant: str) -> int:
    from collector.http.tokens import make_token

    secret, entry = make_token(name, scope, tenant)
    click.echo(entry)
    click.echo(f"the token, shown this once: {secret}", err=True)
    return 0


@hopline.command(help="Bring the tables up to date and exit.")
@_data_dir
def migrate(data_dir: Path | None) -> int:
    from collector import operations

    return operations.migrate(_settings(data_dir))


@hopline.command(help="Put dead letters back into the journal.")
@_data_dir
def replay(data_dir: Path | None) -> int:
    from collector import operations

    return operations.replay(_settings(data_dir))


@hopline.command(help="Check the journal's checksums and the tables.")
@_data_dir
def verify(data_dir: Path | None) -> int:
    from collector import operations

    return operations.verify(_settings(data_dir))


@hopline.command(help="Print what a shell needs to complete words.")
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def completion(shell: str) -> int:
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(hopline, {}, "hopline", "_HOPLINE_COMPLETE").source())
    return 0


def _settings(data_dir: Path | None) -> "Settings":
    from collector.config import load_settings

    return load_settings(**({"data_dir": data_dir} if data_dir else {}))


if __name__ == "__main__":
    sys.exit(main())
