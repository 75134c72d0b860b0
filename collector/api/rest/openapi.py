"""
What OpenAPI says about each route: parameters, answers, examples.

Parameters are documented from the tables that read them, answers by their own types; an example is
a value of the type that it illustrates.
"""

import re
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from collector.answers import Answer, answer_name, record_name
from collector.api.rest import budget_example, change_examples, examples, examples_of_many
from collector.query.reports.apis import APIS_PARAMETERS
from collector.query.reports.budget import BUDGET_PARAMETERS
from collector.query.reports.changes import CHANGE_PARAMETERS
from collector.query.reports.compare import COMPARE_PARAMETERS
from collector.query.reports.sampling import SAMPLE_PARAMETERS
from collector.query.reports.services import EDGES_PARAMETERS
from collector.query.reports.slow import SLOW_PARAMETERS
from collector.query.reports.told import TOLD_SCHEMA
from collector.query.reports.wanted import STITCHED_FILTERS
from collector.query.search.described import DESCRIBED
from collector.query.search.filters import PARAMETERS, Parameter
from collector.query.search.tail import TAIL_PARAMETERS

DESCRIPTION = (
    "One timeline per request, from the API call to the last internal hop. Times come in as RFC "
    "3339 or Unix time and go out as RFC 3339 with nanoseconds; durations are milliseconds and "
    "their fields end in `_ms`. With HOPLINE_QUERY_TOKENS set, send `Authorization: Bearer …`."
)
_ERRORS = {
    400: ("A parameter cannot be understood; the message names it.", examples.BAD_QUESTION),
    401: ("No token, or an unknown one.", examples.UNAUTHENTICATED),
    404: ("Nothing is known under this id (yet).", examples.NOT_FOUND),
    422: (
        "There is no such parameter, or the answer would read more than the limits allow.",
        examples.TOO_EXPENSIVE,
    ),
    429: ("Too many questions at once; see Retry-After.", examples.OVERLOADED),
    503: ("The store does not answer; see Retry-After.", examples.STORE_UNAVAILABLE),
    504: ("The store did not answer in time.", examples.QUERY_TIMEOUT),
}
_WORDS = {"None": "null", "True": "true", "False": "false"}
_ALWAYS = (400, 401, 422, 429, 503, 504)
_ID = Parameter(
    "id",
    "Any id a person has: a trace id in any form, a whole traceparent, b3, uber-trace-id, "
    "X-Amzn-Trace-Id or Request-Id header, a correlation id of API Management, a Kong or AWS "
    "request id, an x-request-id. "
    "Upper case, dashes, quotes and URL escapes do not matter.",
    example="4f1c2a77d0b94e3c8a5b6d7e8f901234",
)
_AS_OF = Parameter(
    "as_of", "Answer with what had arrived at this moment.", example="2026-03-01T09:31:00Z"
)
_RAW = Parameter("raw", "`true`: leave every clock as it is.", {"type": "boolean"}, False)
_FORMAT = Parameter(
    "format",
    "`json` or `markdown`; wins over Accept.",
    {"type": "string", "enum": ["json", "markdown"]},
)


@dataclass(frozen=True, slots=True)
class HealthAnswer(Answer):
    """Liveness."""

    status: str


@dataclass(frozen=True, slots=True)
class ReadyAnswer(Answer):
    """Readiness by component: `ok`, or what is wrong."""

    status: str
    components: dict[str, str]


def describe(app: FastAPI) -> dict[str, Any]:
    """
    Return the OpenAPI document of *app*.

    What types say of their fields is rewritten to the fields' names in answers.
    """
    document = get_openapi(
        title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes
    )
    for name, schema in document["components"]["schemas"].items():
        rename = record_name if "Record" in name else answer_name
        parts = re.split(r"`([\w*]+)`", schema.get("description", ""))
        parts[1::2] = [f"`{_WORDS.get(part) or rename(part)}`" for part in parts[1::2]]
        schema["description"] = "".join(parts)
    return document


def _route(
    name: str,
    summary: str,
    description: str,
    example: Answer | None = None,
    *,
    tag: str = "requests",
    parameters: tuple[Parameter, ...] = (),
    has_id: bool = False,
    errors: tuple[int, ...] = _ALWAYS,
) -> dict[str, Any]:
    """Return the keyword arguments of one `app.get` that answers with the type of *example*."""
    responses: dict[int | str, dict[str, Any]] = {}
    if example is not None:
        responses[200] = _response(example, "The answer.")
    for status in (*errors, 404) if has_id else errors:
        text, error = _ERRORS[status]
        responses[status] = _response(error, text)
    documented = [_document(_ID, "path")] if has_id else []
    documented += [_document(parameter, "query") for parameter in parameters]
    return {
        "name": name,
        "operation_id": name,
        "summary": summary,
        "description": description,
        "tags": [tag],
        "response_model": None,
        "responses": responses,
        "openapi_extra": {"parameters": documented} if documented else None,
    }


def _response(example: Answer, description: str) -> dict[str, Any]:
    content = {"application/json": {"example": examples.as_json(example)}}
    return {"model": type(example), "description": description, "content": content}


def _document(parameter: Parameter, place: str) -> dict[str, Any]:
    document: dict[str, Any] = {
        "name": parameter.name,
        "in": place,
        "required": place == "path",
        "description": parameter.description,
        "schema": dict(parameter.schema),
    }
    if parameter.example is not None:
        document["example"] = parameter.example
    return document


SEARCH = _route(
    "search",
    "Find requests",
    "Requests of a range of time, slowest or newest first. An empty answer says why in `note`.",
    examples.FOUND,
    parameters=PARAMETERS,
)
TAIL = _route(
    "tail",
    "Requests as they become known",
    "Server-sent events: `request` for one that is new, `update` for one that changed, both with "
    "the row of a list; `missed` with how many events a slow reader lost; `error`. At most 8 "
    "readers at once.",
    parameters=TAIL_PARAMETERS,
)
TAIL["responses"][200] = {
    "description": "A stream of events that ends when the service stops.",
    "content": {"text/event-stream": {"example": examples.TAILED}},
}
TIMELINE = _route(
    "timeline",
    "One request's timeline",
    "Gateway record and spans stitched into one timeline. When several requests carry the id, the "
    "newest is shown and the others are listed in `other_matches`.",
    examples.TIMELINE,
    parameters=(_AS_OF, _RAW),
    has_id=True,
)
EXPLAIN = _route(
    "explain",
    "One request in sentences",
    "Deterministic: the same data give the same words. Every sentence names its rule and the ids "
    "of the records and spans it rests on. JSON, or Markdown with `Accept: text/markdown`.",
    examples.EXPLANATION,
    parameters=(_AS_OF, _FORMAT),
    has_id=True,
)
EXPLAIN_DESCRIBED = _route(
    "explain_described",
    "A described request in sentences",
    "For when nobody has an id: the slowest request within 5 minutes of `at` that fits API, "
    "status, consumer and so on. `Content-Location` names it; the same description finds the same.",
    examples.EXPLANATION,
    parameters=(*DESCRIBED, _FORMAT),
    errors=(*_ALWAYS, 404),
)
SPANS = _route(
    "spans",
    "What is stored, untouched",
    "Gateway records (every version), spans and log records behind a request.",
    examples.STORED,
    parameters=(_AS_OF,),
    has_id=True,
)
SOURCES = _route(
    "sources",
    "How fresh every source is",
    "Per source: last seen, lag percentiles, watermark, accepted, rejected and ignored counts.",
    examples.SOURCES,
    tag="overview",
)
APIS = _route(
    "apis",
    "How the gateways' APIs are doing",
    "Rates, errors and percentiles of each API from every gateway record of a range (default: "
    "1 h); which layer failed and where the time went, from stitched requests; what changed "
    "against the range before and the same time a day and a week ago, and whether that is more "
    "than chance. `group_by` tells requests of an API apart by other fields.",
    examples_of_many.APIS,
    tag="overview",
    parameters=APIS_PARAMETERS,
)
SERVICES = _route(
    "services",
    "What each service does",
    "Rates, errors and times of each service, from all stitched requests of a range (default: "
    "1 h), each weighed by how many it stands for. Services that send no spans are known from "
    "their callers.",
    examples_of_many.SERVICES,
    tag="overview",
    parameters=STITCHED_FILTERS,
)
EDGES = _route(
    "edges",
    "Who calls whom",
    "Nodes and calls between them, from all stitched requests of a range (default: 1 h), each "
    "weighed by how many it stands for. Gateways are nodes, their operations too if asked for.",
    examples_of_many.EDGES,
    tag="overview",
    parameters=EDGES_PARAMETERS,
)
SLOW = _route(
    "slow",
    "Why requests are slow in general",
    "What slow (or failed, or any chosen) requests have that others have not: one vote a request, "
    "shares on both sides with bounds, at most 5 % false findings, the likeliest cause first; and "
    "in which phases and calls they spend more time. Needs 20 requests against 40.",
    examples_of_many.SLOW,
    tag="overview",
    parameters=SLOW_PARAMETERS,
)
BUDGET = _route(
    "budget",
    "Whether requests keep to their budget",
    "Percentiles against what they may be, bad requests against an objective with burn rates, who "
    "holds up the answers, and what the percentiles would be if one hop were 30 % faster or gone "
    "(an estimate from stitched requests, and the most that can be won).",
    budget_example.BUDGET,
    tag="overview",
    parameters=BUDGET_PARAMETERS,
)
CHANGES = _route(
    "changes",
    "What changed, and what came of it",
    "Revisions, rollouts, pods, nodes, backends, policies and operations that requests of the "
    "range have and those of the day before had not, and what deployment tools told; each with how "
    "far percentiles and failures moved between the hour before and the hour after, within 99 % "
    "bounds. A service is held against its own time, without that of its calls.",
    change_examples.CHANGES,
    tag="overview",
    parameters=CHANGE_PARAMETERS,
)
TELL_CHANGE = _route(
    "tell_change",
    "Tell of a change",
    "For deployment tools. The same words again change nothing. Seen rollouts within 15 minutes "
    "carry what was told of them.",
    tag="overview",
    errors=(400, 401, 422, 429, 503),
)
TELL_CHANGE["responses"][201] = _response(change_examples.TOLD, "It is kept.")
TELL_CHANGE["openapi_extra"] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": TOLD_SCHEMA}},
    }
}
CLOCKS = _route(
    "clocks",
    "How far the hosts' clocks are apart",
    "Learned from calls between hosts of recent requests, with error bars. A span is moved only "
    "when zero lies outside of them; `?raw=true` of a timeline leaves every clock as it is.",
    examples.CLOCKS,
    tag="overview",
)
COMPARE = _route(
    "compare",
    "Two requests side by side",
    "Phases and calls of A against B, or against the typical request of the same route: aligned by "
    "the services and operations above them, with what they took on the critical path, and what "
    "only one side does. Differences are A minus B.",
    examples.COMPARISON,
    tag="overview",
    parameters=COMPARE_PARAMETERS,
    errors=(*_ALWAYS, 404),
)
DOCTOR = _route(
    "doctor",
    "What is wrong again and again, and how to mend it",
    "Rules over a stable sample of a range (default: 1 h): broken trace context, missing and late "
    "spans, times that cannot be true, gateway and mesh acting against each other. A finding "
    "needs 20 requests and 5 % of those that passed its hop; one about two layers 5 requests.",
    examples.DOCTOR,
    tag="overview",
    parameters=SAMPLE_PARAMETERS,
)
JOINS = _route(
    "joins",
    "How gateway records are joined to spans",
    "Per API: records of a stable sample by tier, and the measured precision and coverage of "
    "joins without ids, found by hiding the ids of requests that have some. A route that does not "
    "keep what it claims is demoted: it gives candidates and no joins.",
    examples.JOINS,
    tag="overview",
    parameters=SAMPLE_PARAMETERS,
)
OUTCOMES = _route(
    "outcomes",
    "What consumers got against what happened inside",
    "Per API: gateway status × edge status × application status over a stable sample, with the "
    "outcome (masked, manufactured, phantom, abandoned, zombie) and examples of each.",
    examples.OUTCOMES,
    tag="overview",
    parameters=SAMPLE_PARAMETERS,
)
STORAGE = _route(
    "storage",
    "What is kept, for how long, and what it takes",
    "Rows and bytes by kind, with the indexes that lead to them; the growth of the last full days; "
    "what other times to live would free now and take in the long run. On a cluster: of the node "
    "that is asked.",
    examples.STORAGE,
    tag="operation",
)
HEALTH = _route(
    "healthz",
    "Liveness",
    "Answers as long as the process runs. No token needed.",
    HealthAnswer("ok"),
    tag="operation",
    errors=(),
)
READY = _route(
    "readyz",
    "Readiness by component",
    "200 when every component is `ok`, else 503 with the same body. No token needed.",
    ReadyAnswer("ok", {"store": "ok", "journal": "ok"}),
    tag="operation",
    errors=(),
)
METRICS_TEXT = _route(
    "metrics",
    "Metrics for Prometheus",
    "Hopline's own metrics as text, OpenMetrics or protobuf (`io.prometheus.client.MetricFamily`, "
    "delimited, with native histograms), as the header `Accept` likes it best.",
    tag="operation",
    errors=(401,),
)
