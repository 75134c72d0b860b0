"""Texts made to be slow to read: reading them takes as long as they are, and no longer."""

import contextlib
from collections.abc import Callable

import pytest

from collector.decode.azure.self_hosted import parse_line
from collector.decode.gateways import find_adapters
from collector.decode.program_logs import is_program_line
from collector.decode.redaction.findings import Findings
from collector.decode.redaction.secrets import Secrets
from collector.errors import Undecodable

SECRETS = Secrets()


def mask(text: str) -> None:
    SECRETS.mask_text(text, Findings())


def find(text: str) -> None:
    for _ in SECRETS.in_otlp.finditer(text.encode()):
        pass


def push(text: str) -> None:
    with contextlib.suppress(Undecodable):
        find_adapters()["kong"].decode(text.encode())


@pytest.mark.timeout(30)  # read once more for each word, each of them takes minutes
@pytest.mark.parametrize(
    ("read", "text"),
    [
        (mask, "--cookie x " * 60_000),
        (mask, "--cookie -x " * 60_000),
        (mask, "--authorization digest x " * 60_000),
        (mask, "token=token=${x} " * 30_000),
        (find, "curl token= " * 120_000),
        (find, "redis-cli password " * 60_000),
        (is_program_line, ("=" * 40 + " ") * 6),
        (push, "\n".join([("=" * 40 + " ") * 6] * 5)),
        (parse_line, "isRequestSuccess=true,correlationId=x," + " " * 250_000 + "1"),
    ],
    ids=lambda value: value.__name__ if callable(value) else value[:16],
)
def test_time_grows_with_the_text(read: Callable[[str], object], text: str) -> None:
    """No word of a sender's makes the rest of its text be read again."""
    read(text)


def test_a_value_as_long_as_the_text_is_masked_to_its_end() -> None:
    """What is looked at to tell a secret is the beginning; what is masked is all of it."""
    secret = "q7" * 9_000
    masked = SECRETS.mask_text(f"before password={secret} after --cookie a={secret}", Findings())
    assert "q7" not in masked
    assert masked.startswith("before password=")
