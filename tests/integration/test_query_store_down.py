"""Questions while the ClickHouse server is away: each answers, and says what to do."""

from collections.abc import Iterator

import pytest

from collector.__main__ import main
from collector.http.errors import ErrorAnswer
from collector.query.learned.freshness import Freshness
from collector.query.service import QueryService
from collector.store import open_store
from collector.telemetry import Metrics
from tests.api_client import Asker, check_answer, serving
from tests.manual_clock import ManualClock
from tests.stored import clickhouse_server, store_settings
from tests.stories import NOW, number_id

ID = number_id(1)
QUESTIONS = (
    "requests", "apis", "services", "edges", "slow", "budget", "changes", "doctor", "joins",
    "sources", "storage", f"requests/{ID}", f"requests/{ID}/explain", f"requests/{ID}/spans",
    f"compare?a={ID}",
)  # fmt: skip


@pytest.fixture(scope="module")
def asker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    """Serve questions of a store whose server has gone."""
    folder = tmp_path_factory.mktemp("down")
    clock, metrics = ManualClock(NOW), Metrics()
    with clickhouse_server(folder) as url:
        store = open_store(store_settings(folder, url=url), clock, metrics)
        store.migrate()
    questions = QueryService(store, clock, Freshness(store, clock, folder), metrics=metrics)
    try:
        with serving(questions) as found:
            yield found
    finally:
        questions.close()
        store.close()


@pytest.mark.parametrize("path", QUESTIONS)
def test_every_question_says_that_the_store_is_down(asker: Asker, path: str) -> None:
    """It is 503 and may be asked again; the message is short, the hint says what to look at."""
    answer = asker.get(f"/api/v1/{path}", status=503)
    check_answer(ErrorAnswer, answer)
    error = answer["error"]
    assert error["code"] == "store_unavailable"
    assert "Connection refused" in error["message"]
    assert "http" not in error["message"]
    assert "HOPLINE_CLICKHOUSE_URL" in error["hint"]


@pytest.mark.parametrize("command", ["requests", "slow", "doctor", "sources"])
def test_the_terminal_says_it_too(
    asker: Asker,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
) -> None:
    """A command ends with an error, with what is wrong and what to do on standard error."""
    monkeypatch.setenv("HOPLINE_URL", str(asker.client.base_url))
    assert main([command]) not in (0, None)
    said = capsys.readouterr().err
    assert "Connection refused" in said
    assert "HOPLINE_CLICKHOUSE_URL" in said
