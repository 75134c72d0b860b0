"""`hopline explain` against a running API: pictures, formats, bundles, errors."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.__main__ import main
from tests.api_client import Asker, serving
from tests.stories import MINUTE, MS, NOW, asking, joined_story, number_id

STORY = joined_story(1, NOW - 20 * MINUTE, 1_400 * MS, failed=True)
TRACE = STORY.spans[0].trace_id
TOKEN = "a-token"


@pytest.fixture(scope="module")
def asker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    with (
        asking([STORY], tmp_path_factory.mktemp("command")) as (questions, _),
        serving(questions, tokens=(TOKEN,)) as found,
    ):
        yield found


@pytest.fixture
def url(asker: Asker, monkeypatch: pytest.MonkeyPatch) -> str:
    address = str(asker.client.base_url)
    monkeypatch.setenv("HOPLINE_URL", address)
    monkeypatch.setenv("HOPLINE_TOKEN", TOKEN)
    return address


def test_a_request_is_drawn(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The picture in a pipe is 120 columns of plain text."""
    assert main(["explain", f"00-{TRACE}-{STORY.spans[0].span_id}-01"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("GET /orders/1  → 500  1.42 s\n")
    assert "└ istio-ingressgateway" in text
    assert "WHERE THE TIME WENT" in text
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 120


def test_other_formats(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Markdown is the API's account, JSON its document."""
    assert main(["explain", TRACE, "--format", "markdown"]) == 0
    assert capsys.readouterr().out.startswith("# GET /orders/1\n")
    assert main(["explain", TRACE, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["trace_id"] == TRACE


def test_a_bundle_opens_without_the_service(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was written opens offline in every format, without the consumer's name."""
    bundle = tmp_path / "slow.json"
    assert main(["explain", TRACE, "--bundle", str(bundle)]) == 0
    monkeypatch.setenv("HOPLINE_URL", "http://127.0.0.1:9")
    capsys.readouterr()
    for form, expected in (
        ("waterfall", "GET /orders/1  → 500"),
        ("markdown", "# GET /orders/1"),
        ("json", '"trace_id"'),
    ):
        assert main(["explain", str(bundle), "--format", form]) == 0
        text = capsys.readouterr().out
        assert expected in text
        assert "acme-mobile" not in text


DESCRIPTION = {
    "--api": STORY.records[0].api,
    "--status": "500",
    "--consumer": STORY.records[0].consumer,
    "--at": str((STORY.start_ns + 4 * MINUTE) // MS),
}


def test_a_description_stands_for_an_id(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """API, status, consumer and a moment four minutes off lead to the request."""
    described = [text for pair in DESCRIPTION.items() for text in pair]
    assert main(["explain", *described, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == STORY.records[0].record_id


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("--api", "carts"),
        ("--status", "504"),
        ("--consumer", "nobody"),
        ("--at", str((STORY.start_ns + 6 * MINUTE) // MS)),
    ],
)
def test_every_word_of_a_description_counts(
    url: str, name: str, other: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With one word that does not fit, no request is taken for the described one."""
    described = [text for pair in {**DESCRIPTION, name: other}.items() for text in pair]
    assert main(["explain", *described]) == 1
    assert "no request fits" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["explain", number_id(77)], "nothing is stored under"),
        (["explain", "abc"], "too short"),
        (["explain", TRACE, "--token", "wrong"], "bearer token is needed"),
        (["explain", TRACE, "--url", "http://127.0.0.1:9"], "no answer from http://127.0.0.1:9"),
        (["explain", TRACE, "--url", "file:///etc/passwd"], "is not an http address"),
    ],
)
def test_errors_are_one_line_and_a_hint(
    url: str, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What went wrong is said on stderr, with exit status 1 and no traceback."""
    assert main(arguments) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert message in said.err
    assert "Traceback" not in said.err
