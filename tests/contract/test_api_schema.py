"""What the OpenAPI document lets a client ask, and forbids, gets an answer that it describes."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    response_schema_conformance,
    status_code_conformance,
)

from tests.api_client import Asker, serving
from tests.golden_file import GOLDEN
from tests.stories import MINUTE, NOW, asking, joined_story

EXAMPLES = 4
_SCHEMA = schemathesis.openapi.from_dict(json.loads((GOLDEN / "openapi.json").read_text()))
_OPERATIONS: dict[str, Any] = {
    each.ok().label: each.ok() for each in _SCHEMA.get_all_operations() if isinstance(each, Ok)
}
_CHECKS = [not_a_server_error, status_code_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def asker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    stories = [joined_story(number, NOW - number * MINUTE) for number in range(1, 4)]
    folder = tmp_path_factory.mktemp("schema")
    with asking(stories, folder) as (questions, _), serving(questions) as found:
        yield found


def _questions() -> Iterator[Any]:
    for label, operation in _OPERATIONS.items():
        takes_nothing = not operation.body and not list(operation.iter_parameters())
        for mode in GenerationMode:
            # what takes nothing forbids nothing
            if mode is GenerationMode.POSITIVE or not takes_nothing:
                yield pytest.param(label, mode, id=f"{label} {mode.value}")


@pytest.mark.parametrize(("label", "mode"), list(_questions()))
def test_documented_question_gets_a_documented_answer(
    label: str, mode: GenerationMode, asker: Asker
) -> None:
    """No question that the document describes, or just not, is a server error or undescribed."""
    operation = _OPERATIONS[label]
    base_url = str(asker.client.base_url)
    with requests.Session() as session:

        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            # a stream of events has no end: its head is what is looked at
            if case.path.endswith("/tail"):
                asked = case.as_transport_kwargs(base_url=base_url)
                with session.request(**asked, stream=True, timeout=60) as stream:
                    assert stream.status_code < 500
                return
            answer = case.call(base_url=base_url, session=session, timeout=60)
            case.validate_response(answer, checks=_CHECKS)

        ask()
