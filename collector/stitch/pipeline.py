"""
The stitching itself: the rules in their order, and their results as one `Timeline`.

records → merged → matched to traces → trees → one tree → hops → places in time → critical path →
phases → verdict → findings. Each step is a rule in a file of its own; this one passes things on,
and says where the order matters.
"""

from dataclasses import replace

from collector.stitch.completeness import are_spans_lost, judge_state
from collector.stitch.describe import Stitched, describe
from collector.stitch.doctor.diagnose import findings_of, findings_of_tree
from collector.stitch.inputs import StitchInputs
from collector.stitch.join.by_id import match_records, view_traces
from collector.stitch.join.gateway_spans import add_records_of_spans
from collector.stitch.join.gateways import join_gateways
from collector.stitch.join.likely import add_likely
from collector.stitch.join.merge import merge_records
from collector.stitch.join.roots import choose_root
from collector.stitch.time.background import mark_background
from collector.stitch.time.critical_path import find_critical_path, measure_self_times
from collector.stitch.time.phases import split_into_phases
from collector.stitch.time.placement import place, stretch_unmeasured
from collector.stitch.timeline import Timeline
from collector.stitch.tree.access_logs import add_evidence, read_entries, spans_from_entries
from collector.stitch.tree.forest import build_forest
from collector.stitch.tree.hops import group_hops
from collector.stitch.verdict.first_failure import judge
from collector.stitch.verdict.grpc import carry_grpc_status
from collector.stitch.verdict.outcomes import add_outcome
from collector.stitch.verdict.overlap import find_policy_actions
from collector.stitch.verdict.provisional import hold_open


def stitch(inputs: StitchInputs) -> Timeline:
    """
    Make one timeline of everything that may belong to one request.

    Gives the same answer for the same inputs in any order, and always gives one, however broken
    they are.

    Raises:
        ValueError: there is neither a record nor a span nor an access log.
    """
    entries = read_entries(inputs.logs)
    spans = inputs.spans or spans_from_entries(entries, inputs.subject, inputs.records)
    if not inputs.records and not spans:
        raise ValueError("nothing to stitch: no record, no span and no access log")

    # Trees, each trace for itself.
    forest = build_forest(spans)
    records = add_records_of_spans(inputs.records, spans, forest.nodes, inputs.gateway_services)
    # Before the join: the request ids that it compares may stand in the logs alone.
    add_evidence(forest.nodes, entries)

    # The join; likelihood comes last, since it may claim only what no id does.
    merged = merge_records(records)
    traces = view_traces(forest.nodes, merged)
    matched = match_records(merged, traces, population=inputs.population)
    add_likely(matched, inputs.likely, traces)
    joints = join_gateways(matched, forest, traces, inputs.offsets)
    rooted = choose_root(joints, traces, inputs.subject)
    root, members = rooted.root, rooted.members

    # Time. What nobody waited for is set apart first: it is no part of any time. A record without a
    # duration is given that of its calls: all else is cut to it.
    mark_background(members)
    # And what a proxy passed on is its own end too: whether a try failed depends on it.
    carry_grpc_status(members)
    stretch_unmeasured(members)
    # Before the places: the spans of one hop share a clock.
    hops = group_hops(members)
    own = [joint for joint in joints if joint.node.hop >= 0]
    place(members, inputs.offsets)
    path = find_critical_path(root)
    measure_self_times(members)
    # After the path: a phase is a part of the time on it.
    split = split_into_phases(root, hops, path)

    # The verdict; what is still to come decides whether a missing span says anything.
    state, expected = judge_state(members, own, inputs.lags, inputs.now_ns)
    are_spans_due = are_spans_lost(expected)
    verdict = add_outcome(judge(root, hops), root, members, hops, are_spans_due=are_spans_due)
    acts = find_policy_actions(members, hops, verdict)
    verdict = hold_open(verdict, root, expected, inputs.lags)

    stitched = Stitched(
        rooted, own, hops, path, split, state, expected, verdict, acts, records, spans
    )
    timeline = describe(stitched, inputs)

    # Findings come last: most rules read the finished timeline, as its reader does.
    if inputs.findings == "none":
        return timeline
    told = findings_of(timeline) if inputs.findings == "all" else ()
    return replace(timeline, findings=(*findings_of_tree(stitched), *told))
