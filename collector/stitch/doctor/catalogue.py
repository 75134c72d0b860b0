"""
The catalogue: every rule of the doctor with its title, its predicate and the text that fixes it.

Several predicates may report one rule, which sees the same problem at different places. A fix is
chosen by the gateway product concerned; "" is the one for everybody.

Source: algorithms.md 4.4; fixes from azure-docs (set-header policy, diagnostics), Istio Telemetry
API, Envoy HTTP connection manager, Kong OpenTelemetry plugin, Linkerd tracing.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from collector.stitch.doctor import gateway_rules, mesh_rules, population_rules
from collector.stitch.doctor.fixes import FIXES
from collector.stitch.doctor.symptoms import Symptom
from collector.stitch.timeline import Timeline


@dataclass(frozen=True, slots=True)
class Rule:
    """
    A predicate on one request; `names` are the rules that it can report.

    With `is_told` unset, one request is no evidence (a late span looks like a missing one), or the
    timeline says it already in its own words: the rule then speaks of many requests only.
    """

    names: tuple[str, ...]
    find: Callable[[Timeline], Iterator[Symptom]]
    is_told: bool = True


@dataclass(frozen=True, slots=True)
class PopulationRule:
    """A predicate on many requests, in order of start."""

    name: str
    find: Callable[[Sequence[Timeline]], Iterator[tuple[Timeline, Symptom]]]


TITLES = {
    "ZERO_PARENT": "The gateway sends a traceparent that nobody may read",
    "LEGACY_REQUEST_ID_ONLY": "Only the old Request-Id travels, which no mesh reads",
    "APIM_W3C_OFF": "API Management does not send a trace context",
    "WAIT_POLICY": "Parallel calls of the gateway have no common parent",
    "B3_SINGLE_STALE": "The b3 header is read and never rewritten",
    "B3_W3C_DISAGREE": "Two trace ids in one message",
    "ID_TRUNCATED_64": "Half of the trace id is lost",
    "LEADING_ZERO_LOST": "A zero at the start of the trace id is lost",
    "PHANTOM_PARENT": "A parent that nobody ever reports",
    "SIBLING_NOT_CHILD": "A callee is its caller's sibling",
    "NEW_ROOT_AT_HOP": "The trace begins again at a hop",
    "SAMPLED_00": "The gateway switches tracing off",
    "NON_UUID_REQUEST_ID": "x-request-id is no UUID, so Envoy does not trace by it",
    "HEADER_STRIPPED_BY_APP": "An application does not forward the trace headers",
    "SERVER_KIND_MISSING": "The edge leaves out its server span",
    "WAYPOINT_SILENT": "A waypoint sends no spans",
    "SAMPLING_MISMATCH": "Gateway and mesh sample each for itself",
    "CLOCK": "A host's clock is wrong",
}
"""Every rule of the catalogue, and what it means in a line."""

RULES = (
    Rule(("ZERO_PARENT",), gateway_rules.find_zero_parent),
    Rule(("LEGACY_REQUEST_ID_ONLY",), gateway_rules.find_legacy_request_id),
    Rule(("APIM_W3C_OFF",), gateway_rules.find_w3c_off),
    Rule(("WAIT_POLICY",), gateway_rules.find_wait_policy),
    Rule(("B3_W3C_DISAGREE",), gateway_rules.find_b3_against_w3c),
    Rule(("ID_TRUNCATED_64", "LEADING_ZERO_LOST"), gateway_rules.find_truncated_id),
    Rule(("PHANTOM_PARENT",), gateway_rules.find_phantom_parent, is_told=False),
    Rule(("PHANTOM_PARENT",), mesh_rules.find_phantom_parent, is_told=False),
    Rule(("B3_SINGLE_STALE",), mesh_rules.find_stale_b3),
    Rule(("SIBLING_NOT_CHILD",), mesh_rules.find_sibling, is_told=False),
    Rule(("NEW_ROOT_AT_HOP", "HEADER_STRIPPED_BY_APP"), mesh_rules.find_restart),
    Rule(("NEW_ROOT_AT_HOP",), gateway_rules.find_unread_context),
    Rule(("SAMPLED_00",), gateway_rules.find_sampled_out),
    Rule(("NON_UUID_REQUEST_ID",), gateway_rules.find_odd_request_id),
    Rule(("CLOCK",), mesh_rules.find_skew, is_told=False),
)

POPULATION_RULES = (
    PopulationRule("SERVER_KIND_MISSING", population_rules.find_missing_server_kind),
    PopulationRule("WAYPOINT_SILENT", population_rules.find_silent_waypoint),
    PopulationRule("SAMPLING_MISMATCH", population_rules.find_sampling_mismatch),
)


def fix_for(rule: str, gateway: str) -> str:
    """Return the text that fixes a rule for a gateway product."""
    texts = FIXES[rule]
    return texts.get(gateway) or texts[""]
