"""`hopline explain` against a running API: pictures, formats, bundles, errors."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.__main__ import main
from tests.api_client import Asker, serving
from tests.stories import MINUTE, MS, NOW, asking, joined_story, number_id

STORY = joined_story(1, NOW - 20 * MINUTE, 1_400 * MS, failed=True)
OTHER = joined_story(2, NOW - 15 * MINUTE)
TRACE = STORY.spans[0].trace_id
STORY_ID = STORY.records[0].record_id
TOKEN = "a-token"


@pytest.fixture(scope="module")
def asker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    with (
        asking([STORY, OTHER], tmp_path_factory.mktemp("command")) as (questions, _),
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


def test_the_beginning_of_an_id_leads_to_the_whole(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where one request alone begins so, the command that shows it is said; of several none."""
    assert main(["explain", STORY_ID[:9]]) == 1
    assert f"begins so: hopline explain {STORY_ID}\n" in capsys.readouterr().err
    assert main(["explain", "abcdef0"]) == 1
    assert "begins so" not in capsys.readouterr().err


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
        (["explain", "abc"], "there is no id in"),
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


@pytest.mark.parametrize("at", ["-20m", "-0.4h", "20 min ago", "09:40", "today 09:40"])
def test_a_moment_may_begin_with_a_dash(
    url: str, at: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--at -20m` is a value and no option, as the manual writes it."""
    assert main(["explain", "--api", STORY.records[0].api, "--status", "5xx", "--at", at]) == 0
    assert capsys.readouterr().out.startswith("GET /orders/1")


def test_what_was_pasted_is_explained(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A log line with an id in it, blanks and all, is as good as the id."""
    assert main(["explain", f"09:40:00 ERROR [orders,{TRACE},1f2e] no stock"]) == 0
    assert capsys.readouterr().out.startswith("GET /orders/1")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["requests", "--start", "-1h"], ["START (UTC)", "GET", "/orders/1", "500", "1,424"]),
        (["requests", "--min-duration-ms", "1s", "--status", "5xx"], ["/orders/1"]),
        (["requests", "--min_duration_ms", "1s"], ["/orders/1"]),
        (["apis"], ["REQUESTS", "P95 MS", "azure-apim", "orders-api", "100.0%"]),
        (["doctor"], ["2 requests were looked at"]),
        (
            ["compare", TRACE, OTHER.spans[0].trace_id],
            ["A  GET /orders/1  1,424 ms", "B  GET /orders/2", "postgresql", "A - B", "+1,320"],
        ),
        (["sources"], ["STREAM", "LAST SEEN", "log-analytics"]),
        (["storage"], ["KIND", "spans", "records", "for ever", "HOPLINE_TTL_DAYS"]),
        (["apis", "--group-by", "consumer"], ["CONSUMER", "acme-mobile"]),
        (
            ["slow", "--start", "-2h"],
            ["all", "2 requests, 1 failed", "No stitched request fits"],
        ),
        (["edges", "--operations", "true"], ["CALLER", "azure-apim", "orders-api"]),
        (["services"], ["No stitched request fits"]),
        (["changes"], ["No stitched request in this range"]),
        (["budget", "--objective", "10"], ["10 % of the requests have to be good: unknown"]),
    ],
)
def test_questions_are_tables(
    url: str, arguments: list[str], expected: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Every question prints lines for people; in a pipe without colour."""
    assert main(arguments) == (4 if arguments[0] == "budget" else 0)
    text = capsys.readouterr().out
    for words in expected:
        assert words in text
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["requests"], "requests"),
        (["apis"], "apis"),
        (["doctor"], "findings"),
        (["changes"], "changes"),
        (["services"], "services"),
        (["edges"], "edges"),
        (["slow"], "differences"),
        (["budget"], "spending"),
    ],
)
def test_json_is_the_answer_as_it_came(
    asker: Asker, url: str, arguments: list[str], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--json` prints what the API answered."""
    assert main([*arguments, "--json"]) == 0
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = asker.client.get(f"/api/v1/{arguments[0]}", headers=headers).json()
    assert json.loads(capsys.readouterr().out)[name] == answer[name]


def test_a_bad_filter_is_told_in_the_words_of_the_api(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The API's message and hint are what the terminal prints."""
    assert main(["requests", "--status", "fine"]) == 1
    assert "status: 'fine' is neither" in capsys.readouterr().err
    assert main(["requests", "--colour", "red"]) == 2
    assert "No such option" in capsys.readouterr().err


def test_the_port_of_this_machine_is_respected(
    asker: Asker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without HOPLINE_URL the service of this machine is asked, at the port that it is set to."""
    monkeypatch.delenv("HOPLINE_URL", raising=False)
    monkeypatch.setenv("HOPLINE_API_PORT", str(asker.client.base_url.port))
    monkeypatch.setenv("HOPLINE_TOKEN", TOKEN)
    assert main(["apis"]) == 0
    assert "orders-api" in capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_learn_to_complete(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The script names the command and the variable that asks it for words."""
    assert main(["completion", shell]) == 0
    assert "_HOPLINE_COMPLETE" in capsys.readouterr().out


def test_words_are_completed() -> None:
    """Asked as a shell asks, the command answers with the words that fit."""
    done = subprocess.run(
        [sys.executable, "-m", "collector"],
        env={
            **os.environ,
            "_HOPLINE_COMPLETE": "bash_complete",
            "COMP_WORDS": "hopline so",
            "COMP_CWORD": "1",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "plain,sources\n"


def test_help_loads_nothing_heavy() -> None:
    """`hopline --help` answers at once: no engine, no server, no settings are imported for it."""
    script = (
        "import sys; from collector.__main__ import main; main(['--help']); "
        "print(sorted(set(sys.modules) & {'chdb', 'fastapi', 'numpy', 'pydantic', 'grpc', 'mcp'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("Usage: hopline")
    assert done.stdout.endswith("[]\n")


def test_the_tail_is_a_line_a_request(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """New requests and what was missed are lines; an interrupt ends it without complaint."""
    row = {
        "id": "r1", "start": "2026-03-01T09:30:00.120000000Z", "method": "GET", "route": "/orders",
        "api": "orders-api", "status": 504, "error": True, "duration_ms": None, "verdict": "none",
    }  # fmt: skip

    def follow(*_: object) -> Iterator[tuple[str, dict[str, object]]]:
        yield "request", row
        yield "missed", {"requests": 12}
        raise KeyboardInterrupt

    monkeypatch.setattr("collector.cli.server.Server.follow", follow)
    assert main(["tail", "--status", "5xx"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == [
        "09:30:00.120",
        "504",
        "-",
        "ms",
        "GET",
        "/orders",
        "orders-api",
        "r1",
    ]
    assert lines[1] == "missed: 12 requests"
    assert main(["tail", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[0]) == {"event": "request", **row}
