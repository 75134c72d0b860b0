"""Changes found in stored requests, and those that deployment tools tell, asked through the API."""

from collections import Counter
from collections.abc import Iterator
from random import Random

import pytest

from collector.query.reports.change import Changes
from collector.query.service import QueryService
from collector.store import StitchedRequest, Store, ToldChange
from tests.api_client import Asker, check_answer, serving
from tests.changing import make_hop, make_request
from tests.stories import MINUTE, NOW, SECOND, asking

ROLLOUT = NOW - 40 * MINUTE
REVISION = NOW - 25 * MINUTE
_OLD, _NEW = "orders-7d9f8b6c5-x2k4", "orders-5c6f7d8b9-b7m5"


def _requests() -> Iterator[StitchedRequest]:
    """Yield four hours of requests: `orders` is rolled out and slower, `shop` gets a revision."""
    draw = Random(5)  # noqa: S311 - not for secrets
    for number in range(1_440):
        start_ns = NOW - 240 * MINUTE + number * 10 * SECOND
        is_rolled_out = start_ns >= ROLLOUT
        took_ms = draw.uniform(15, 30) + (25 if is_rolled_out else 0)
        stock_ms = draw.uniform(5, 9)
        yield make_request(
            number,
            start_ns,
            make_hop(
                "orders",
                took_ms + stock_ms,
                self_ns=round(took_ms * 1_000_000),
                critical_ns=round(took_ms * 1_000_000),
                version="1.4.2" if is_rolled_out else "1.4.1",
                pod=f"{_NEW if is_rolled_out else _OLD}{draw.choice('bcd')}",
                node=draw.choice(("node-a", "node-b")),
            ),
            make_hop(
                "stock", stock_ms, parent=0, caller="orders", version="7", pod=f"stock-{number % 5}"
            ),
            api_revision="2" if start_ns >= REVISION else "1",
            instance="kong-1",
        )


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[QueryService, Store]]:
    with asking([], tmp_path_factory.mktemp("changes")) as found:
        found[1].write_requests(list(_requests()), [], NOW)
        yield found


@pytest.fixture(scope="module")
def asker(told: tuple[QueryService, Store]) -> Iterator[Asker]:
    with serving(told[0]) as found:
        yield found


def test_changes_are_found_with_what_came_of_them(asker: Asker) -> None:
    """A slower rollout is worse by what it added, its callee is no change, a revision harmless."""
    document = asker.get("/api/v1/changes")
    check_answer(Changes, document)
    revision, rollout = document["changes"]
    assert (revision["kind"], revision["api"], revision["value"]) == ("revision", "shop", "2")
    assert revision["former"] == ["1"]
    assert (rollout["kind"], rollout["service"], rollout["value"]) == ("rollout", "orders", "1.4.2")
    assert rollout["former"] == ["1.4.1"]
    assert rollout["first_seen"].startswith("2026-03-01T09:20:00")
    assert len(rollout["pods"]) == 3
    effect = rollout["effect"]
    assert (effect["verdict"], effect["measure"]) == ("worse", "service")
    assert effect["p50"]["lower_ms"] <= 25 <= effect["p50"]["upper_ms"]
    assert "The service's own time went up at p50" in rollout["sentence"]
    for example in effect["example_ids"]:
        assert len(example) == 32


def test_a_revision_is_not_blamed_for_the_rollout_before_it(asker: Asker) -> None:
    """Before the revision is after the rollout, which had made requests slow already."""
    [revision] = asker.get("/api/v1/changes?kind=revision")["changes"]
    assert revision["effect"]["verdict"] == "none"
    assert revision["effect"]["measure"] == "request"
    assert revision["share"] == 1.0


def test_changes_of_one_service_are_asked_for(asker: Asker) -> None:
    """Only what that service changed is listed; one that changed nothing says so."""
    [rollout] = asker.get("/api/v1/changes?service=orders")["changes"]
    assert rollout["kind"] == "rollout"
    empty = asker.get("/api/v1/changes?service=stock")
    assert empty["changes"] == []
    assert "Nothing is new" in empty["note"]


def test_what_is_told_joins_what_is_seen(asker: Asker) -> None:
    """A deployment tool's word on a rollout stands with it; on anything else it stands alone."""
    body = {"at": "2026-03-01T09:19:10Z", "service": "orders", "value": "1.4.2", "title": "Release"}
    first = asker.client.post("/api/v1/changes", json=body)
    assert first.status_code == 201
    check_answer(ToldChange, first.json())
    again = asker.client.post("/api/v1/changes", json=body)
    assert again.json()["id"] == first.json()["id"]
    flag = {
        "at": "2026-03-01T09:50:00Z",
        "api": "shop",
        "title": "Flag on",
        "url": "https://f.example",
    }
    asker.client.post("/api/v1/changes", json=flag)
    changes = asker.get("/api/v1/changes")["changes"]
    [rollout] = [each for each in changes if each["kind"] == "rollout"]
    assert [each["title"] for each in rollout["told"]] == ["Release"]
    [alone] = [each for each in changes if each["kind"] == "told"]
    assert (alone["api"], alone["effect"]["verdict"]) == ("shop", "none")


def test_what_is_told_of_others_takes_no_room(
    asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks for one service gets what was told of it, and is told where there is more."""
    for minute, service in ((50, "cart"), (51, "mail"), (52, "mail")):
        body = {"at": f"2026-03-01T09:{minute}:00Z", "service": service, "title": f"At {minute}"}
        asker.client.post("/api/v1/changes", json=body)
    for place in ("collector.store.changes", "collector.query.reports.changes"):
        monkeypatch.setattr(f"{place}.MAX_TOLD", 1)
    cart = asker.get("/api/v1/changes?service=cart&kind=told")
    assert [each["value"] for each in cart["changes"]] == ["At 50"]
    assert "newest" not in cart["note"]
    mail = asker.get("/api/v1/changes?service=mail&kind=told")
    assert [each["value"] for each in mail["changes"]] == ["At 52"]
    assert "Only the 1 newest changes that were told are listed" in mail["note"]


def test_too_many_values_are_said_to_be_too_many(
    asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has too many values is named, and costs the changes of other kinds nothing."""
    before = asker.get("/api/v1/changes")
    assert before["note"] == ""
    kinds = Counter(each["kind"] for each in before["changes"])
    for place in ("collector.store.changes", "collector.query.reports.changes"):
        monkeypatch.setattr(f"{place}.MAX_VALUES", 40)
    after = asker.get("/api/v1/changes")
    assert "pod" in after["note"]
    assert "busiest" in after["note"]
    assert Counter(each["kind"] for each in after["changes"])["revision"] == kinds["revision"] > 0


def test_a_secret_that_a_tool_tells_is_masked(asker: Asker) -> None:
    """A build's address or title may hold a token; it is kept without it."""
    body = {
        "at": "2026-03-01T07:00:00Z",
        "service": "quiet",
        "title": "deploy with password=tulip-harbour-93",
        "url": "https://ci.example/42?access_token=tulip-harbour-93",
    }
    answer = asker.client.post("/api/v1/changes", json=body)
    assert answer.status_code == 201
    assert "tulip" not in answer.text
    assert "tulip" not in asker.client.get("/api/v1/changes?service=quiet&start=-10d").text


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"service": "a"}, 400, "value"),
        ({"value": "1"}, 400, "service"),
        ({"service": "a", "value": "1", "colour": "red"}, 422, "'colour'"),
        ({"service": "a", "value": 3}, 400, "value"),
        ({"service": "a", "value": "1", "url": "javascript:x"}, 400, "url"),
        ({"service": "a", "value": "1", "at": "soon"}, 400, "at"),
        ({"service": "a", "value": "1", "at": "2036-01-01T00:00:00Z"}, 400, "at"),
        ({"service": "a" * 600, "value": "1"}, 400, "service"),
        (["service"], 400, "the body"),
    ],
)
def test_what_cannot_be_kept_names_the_field(
    asker: Asker, body: object, status: int, says: str
) -> None:
    """A change that cannot be read is refused with the field that is wrong."""
    answer = asker.client.post("/api/v1/changes", json=body)
    assert answer.status_code == status
    assert answer.json()["error"]["message"].startswith(says)


def test_only_json_of_a_sane_size_is_read(asker: Asker) -> None:
    """A form, which any page may send, is refused; so are broken JSON and a long body."""
    form = asker.client.post(
        "/api/v1/changes", content=b"{}", headers={"content-type": "text/plain"}
    )
    assert form.status_code == 415
    as_json = {"content-type": "application/json"}
    assert asker.client.post("/api/v1/changes", content=b"{", headers=as_json).status_code == 400
    long = b'{"title": "' + b"a" * 20_000 + b'"}'
    assert asker.client.post("/api/v1/changes", content=long, headers=as_json).status_code == 413


@pytest.mark.parametrize(
    ("query", "status", "name"),
    [
        ("limit=0", 400, "limit"),
        ("kind=colour", 400, "kind"),
        ("start=now&end=-1h", 400, "start"),
        ("route=/a", 422, "'route'"),
        ("api=a&api=b", 400, "api"),
    ],
)
def test_a_bad_question_is_named(asker: Asker, query: str, status: int, name: str) -> None:
    """A parameter that is not understood is named."""
    error = asker.get(f"/api/v1/changes?{query}", status=status)["error"]
    assert error["message"].startswith(name)


def test_nothing_stored_says_so(asker: Asker) -> None:
    """Where nothing is stitched nothing is claimed to be unchanged."""
    document = asker.get("/api/v1/changes?start=-9d&end=-8d")
    assert document["changes"] == []
    assert "No stitched request" in document["note"]


def test_a_corrected_request_is_one_row_of_the_storage(
    asker: Asker, told: tuple[QueryService, Store]
) -> None:
    """Rows that a correction superseded are no requests, also before they are merged away."""
    told[1].write_requests(list(_requests())[:100], [], NOW + SECOND)
    kinds = {each["kind"]: each for each in asker.get("/api/v1/storage")["kinds"]}
    assert kinds["requests"]["rows"] == 1_440
