"""
A timeline told in sentences: the same timeline gives the same words, byte for byte.

In: a `Timeline`. Out: an `Explanation`, in which each sentence carries the rule that it follows and
the record and span ids it rests on. Templates only; nothing is inferred here.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

from collector.answers import Answer
from collector.stitch.timeline import Hop, Link, MergedRecord, Phase, Timeline, TimelineSpan
from collector.timestamps import format_duration, format_timestamp

SECTIONS = {
    "happened": "What happened",
    "time": "Where the time went",
    "failure": "What failed first",
    "layers": "Which layer acted",
    "join": "How it was joined",
    "findings": "What is wrong with the data",
    "missing": "What is missing",
}
_PHASE_WORDS = {
    "gateway": "in the gateway itself",
    "client": "on the client's connection",
    "cache": "in the gateway's cache",
    "network": "on the network",
    "edge_proxy": "in the mesh's edge proxy",
    "mesh_proxy": "in sidecars and waypoints",
    "app": "in application code",
    "dependency": "in dependencies",
    "unexplained": "unexplained",
}
_TIER_WORDS = {
    0: "the same trace id, and the span's parent is the span the gateway sent",
    1: "the same trace id",
    2: "the same id once both are normalised",
    3: "a shared request id",
    4: "time, route and size, without a shared id",
    5: "nothing that decides between several candidates",
}
# Wider than this share of the total, the bounds of a phase are told with it.
_WIDE_RATIO = 0.02
_MOST_LINKS, _MOST_CANDIDATES, _MOST_HOPS, _MOST_EVENTS = 20, 5, 5, 5


@dataclass(frozen=True, slots=True)
class Sentence:
    """One statement, the section it belongs to, the rule behind it, and the ids it rests on."""

    section: str
    text: str
    rule: str
    refs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation(Answer):
    """The sentences of one request in reading order."""

    id: str
    title: str
    state: str
    revision: int
    sentences: tuple[Sentence, ...]


def build_explanation(timeline: Timeline) -> Explanation:
    """Tell *timeline*. Every section of `SECTIONS` that has something to say comes in order."""
    whole = _whole_request(timeline)
    told = (
        *_tell_request(timeline),
        *_tell_events(timeline),
        *_tell_time(timeline),
        *_tell_failure(timeline),
        *_tell_provisional(timeline),
        *_tell_exceptions(timeline),
        *_tell_acts(timeline),
        *_tell_joins(timeline),
        *_tell_findings(timeline),
        *_tell_missing(timeline),
    )
    # What rests on nothing in particular rests on the request as a whole.
    sentences = tuple(each if each.refs else replace(each, refs=whole) for each in told)
    return Explanation(
        id=timeline.id,
        title=describe_request(timeline),
        state=timeline.state,
        revision=timeline.revision,
        sentences=sentences,
    )


def _whole_request(timeline: Timeline) -> tuple[str, ...]:
    """Return the references of the gateway records, or of the first span without any."""
    refs = tuple(merged.record.reference for merged in timeline.gateway_records)
    root = _root(timeline)
    return refs or ((f"{root.trace_id}/{root.span_id}",) if root else (timeline.id,))


def describe_request(timeline: Timeline) -> str:
    """Return method and path of the outermost record, or service and name of the first span."""
    for merged in timeline.gateway_records:
        record = merged.record
        where = record.path or record.route or record.operation
        if where or record.method:
            return f"{record.method} {where}".strip()
    root = _root(timeline)
    return (f"{root.service} {root.name}".strip() if root else "") or "A request"


def _tell_request(timeline: Timeline) -> Iterator[Sentence]:
    status = "without a status" if timeline.status is None else f"with status {timeline.status}"
    start = format_timestamp(timeline.start_ns)
    total = timeline.duration_ns
    took = format_duration(total) if total is not None else "a time that nobody recorded"
    refs = tuple(merged.span_id for merged in timeline.gateway_records if merged.span_id)
    root = _root(timeline)
    refs = refs or ((root.span_id,) if root else ())
    yield Sentence(
        "happened",
        f"{describe_request(timeline)} began at {start} and ended {status} after {took}.",
        "REQUEST",
        refs,
    )
    for merged in timeline.gateway_records:
        yield _tell_record(merged)
    if not timeline.gateway_records:
        text = "No gateway record of this request is known; the times are those of its spans."
        yield Sentence("happened", text, "NO_RECORD", refs)
    services = sorted({hop.service for hop in timeline.hops if hop.role != "gateway"} - {""})
    if services:
        noun = "service" if len(services) == 1 else "services"
        text = f"Behind it {len(services)} {noun} took part: {', '.join(services)}."
        yield Sentence("happened", text, "HOPS", ())
    elif timeline.is_answered_at_gateway:
        cached = any(m.record.cache == "hit" for m in timeline.gateway_records)
        how = "from its cache" if cached else "and called no backend"
        text = f"It was answered at the gateway, {how}: nothing behind it took part."
        yield Sentence("happened", text, "ANSWERED_AT_GATEWAY", refs)
    elif timeline.gateway_records:
        text = "No span of a service behind the gateway is known."
        yield Sentence("happened", text, "NO_SPANS", refs)


def _tell_record(merged: MergedRecord) -> Sentence:
    record = merged.record
    facts = [
        f"API {record.api}" if record.api else "",
        f"revision {record.api_revision}" if record.api_revision else "",
        f"operation {record.operation}" if record.operation else "",
        f"for consumer {record.consumer}" if record.consumer else "",
    ]
    told = ", ".join(fact for fact in facts if fact)
    status = "no status" if record.status is None else f"status {record.status}"
    text = f"{record.gateway} wrote it down as {record.record_id} ({status}"
    text += f", {format_duration(record.duration_ns)}" if record.duration_ns is not None else ""
    text += f"): {told}." if told else ")."
    if record.cache == "hit":
        text += " It was answered from the gateway's cache."
    flags = f" The record's times are marked {', '.join(record.quality)}." if record.quality else ""
    return Sentence("happened", text + flags, "GATEWAY_RECORD", (record.reference,))


def _tell_time(timeline: Timeline) -> Iterator[Sentence]:
    """
    Tell the phases, then the hops of the critical path, then what nobody waited for.

    Every number is read from the timeline's phases and path, so that they cannot disagree.
    """
    total = timeline.duration_ns
    if not total:
        return
    phases = sorted(timeline.phases, key=lambda phase: (-phase.duration_ns, phase.name))
    parts = [_tell_phase(phase, total) for phase in phases if phase.duration_ns]
    if parts:
        yield Sentence("time", f"Of {format_duration(total)}, {_join_words(parts)}.", "PHASES")
    for phase in phases:
        if not phase.duration_ns:
            where = _PHASE_WORDS.get(phase.name, phase.name)
            upper = min(phase.upper_ns, total)
            most = f"{format_duration(upper)}{_share(upper, total)}"
            text = f"Up to {most} of it may have gone by {where}: {_sentence(phase.source)}"
            yield Sentence("time", text, "PHASES")
    hops = [hop for hop in timeline.hops if hop.critical_ns > 0]
    hops.sort(key=lambda hop: (-hop.critical_ns, hop.index))
    for hop in hops[:_MOST_HOPS]:
        yield Sentence("time", _tell_held_up(hop, total), "CRITICAL_PATH", hop.span_ids)
    beside = [h for h in timeline.hops if (h.is_mirrored or h.is_async) and not h.critical_ns]
    beside.sort(key=lambda hop: (-(hop.duration_ns or 0), hop.index))
    for hop in beside[:_MOST_HOPS]:
        kind = ", a copy of the request" if hop.is_mirrored else ""
        took = format_duration(hop.duration_ns or 0)
        text = f"Nobody waited for {_name(hop)}{kind}; it took {took}."
        yield Sentence("time", text, "NOT_WAITED_FOR", hop.span_ids)


def _tell_phase(phase: Phase, total: int) -> str:
    where = _PHASE_WORDS.get(phase.name, phase.name)
    text = f"{format_duration(phase.duration_ns)}{_share(phase.duration_ns, total)}"
    text += f" {'is' if phase.name == 'unexplained' else 'went by'} {where}"
    if phase.upper_ns - phase.lower_ns > total * _WIDE_RATIO:
        upper = min(phase.upper_ns, total)
        bounds = f"between {format_duration(phase.lower_ns)} and {format_duration(upper)}"
        text += f" ({bounds}: {phase.source})"
    return text


def _tell_held_up(hop: Hop, total: int) -> str:
    held = f"{format_duration(hop.critical_ns)}{_share(hop.critical_ns, total)}"
    if hop.role == "gateway":
        # Its section of the path holds all that its record knows and no span shows.
        return (
            f"Of the critical path, {held} is known from {hop.service} "
            "(gateway) alone: its own work, its client, and calls of which no span is here."
        )
    tries = f", try {hop.attempt} of {hop.attempts}" if hop.attempts > 1 else ""
    who = f"{_name(hop)} ({hop.role}{tries})"
    return f"On the critical path {who} alone held the answer up for {held}."


def _name(hop: Hop) -> str:
    """Return what to call a hop: a call may name nobody, a lost span's service may be unknown."""
    return hop.service or hop.name or "an unknown service"


def _tell_failure(timeline: Timeline) -> Iterator[Sentence]:
    verdict = timeline.verdict
    if verdict.layer == "none":
        if verdict.reason:
            is_answered = verdict.reason.startswith("answered")
            text = _sentence(f"It was {verdict.reason}" if is_answered else verdict.reason)
            yield Sentence("failure", text, verdict.rule or "VERDICT")
        else:
            yield Sentence("failure", "Nothing failed.", verdict.rule or "VERDICT")
        return
    who = f"{verdict.component} ({verdict.layer})" if verdict.component else verdict.layer
    kind = f" with {verdict.class_}" if verdict.class_ else ""
    sure = f"{verdict.confidence:.0%} sure"
    text = f"{who} failed first{kind}, {sure}"
    text += f": {_sentence(verdict.reason)}" if verdict.reason else "."
    refs = tuple(ref for step in verdict.chain for ref in step.refs)
    yield Sentence("failure", text, verdict.rule or "VERDICT", tuple(dict.fromkeys(refs)))
    for step in verdict.chain:
        at = "" if step.offset_ns is None else f" at {format_duration(step.offset_ns)}"
        text = _sentence(f"{step.component or step.layer}{at}: {step.what}")
        yield Sentence("failure", text, verdict.rule or "VERDICT", step.refs)
    if verdict.outcome not in ("ok", "failed"):
        text = f"Between inside and outside the outcome is {verdict.outcome}"
        if verdict.wasted_ns:
            text += f"; {format_duration(verdict.wasted_ns)} of work was wasted"
        yield Sentence("failure", f"{text}.", "OUTCOME")


def _tell_provisional(timeline: Timeline) -> Iterator[Sentence]:
    """Say which source could overturn the verdict."""
    verdict = timeline.verdict
    if verdict.is_provisional:
        missing = " and ".join(verdict.settled_by)
        text = f"This is provisional: {missing} may still report, and would settle it."
        yield Sentence("failure", text, "PROVISIONAL_VERDICT")


def _tell_events(timeline: Timeline) -> Iterator[Sentence]:
    """Say which events, beside exceptions, the spans hold."""
    names = Counter(e.name for s in timeline.spans for e in s.events if e.name != "exception")
    if names:
        told = ", ".join(f"{count} × {name}" for name, count in names.most_common(_MOST_EVENTS))
        refs = tuple(span.span_id for span in timeline.spans if span.events)[:_MOST_EVENTS]
        yield Sentence("happened", f"Its spans hold the events {told}.", "EVENTS", refs)


def _tell_exceptions(timeline: Timeline) -> Iterator[Sentence]:
    """Tell each exception once for the service that reported it."""
    found: dict[tuple[str, str, str], tuple[TimelineSpan, int]] = {}
    for span in timeline.spans:
        for event in span.events:
            if event.name == "exception":
                type_ = event.attributes.get("exception.type", "")
                message = event.attributes.get("exception.message", "")
                # An event has the clock of its span.
                offset_ns = event.time_ns - span.raw_start_ns + span.start_offset_ns
                found.setdefault((span.service, type_, message), (span, offset_ns))
    for (service, type_, message), (span, offset_ns) in islice(found.items(), _MOST_EVENTS):
        what = ": ".join(part for part in (type_, message) if part) or "without type or message"
        text = f"{service} reported an exception at {format_duration(offset_ns)}: {_sentence(what)}"
        yield Sentence("failure", text, "EXCEPTION", (span.span_id,))
    if len(found) > _MOST_EVENTS:
        text = f"{len(found) - _MOST_EVENTS} more exceptions are in the timeline."
        yield Sentence("failure", text, "EXCEPTION")


def _tell_acts(timeline: Timeline) -> Iterator[Sentence]:
    """Say which layer did what several layers can do."""
    for act in timeline.acts:
        feature = act.feature.replace("_", " ")
        text = f"{act.component} ({act.layer}) acted by {feature}: {_sentence(act.detail)}"
        yield Sentence("layers", text, f"ACT_{act.feature.upper()}", act.refs)


def _tell_joins(timeline: Timeline) -> Iterator[Sentence]:
    joined = {link.from_ for link in timeline.links if link.to}
    for link in timeline.links[:_MOST_LINKS]:
        yield _tell_link(link, is_joined=link.from_ in joined)
    if len(timeline.links) > _MOST_LINKS:
        text = f"{len(timeline.links) - _MOST_LINKS} more links are in the timeline."
        yield Sentence("join", text, "JOIN")
    if timeline.others:
        text = f"The same ids also belong to {', '.join(timeline.others)}."
        yield Sentence("join", text, "OTHER_MATCHES", timeline.others)
    for linked in timeline.links_to[:_MOST_LINKS]:
        text = f"A span link leads to another request: trace {linked.trace_id}, span"
        refs = (linked.from_span_id, f"{linked.trace_id}/{linked.span_id}")
        yield Sentence("join", f"{text} {linked.span_id}.", "LINKED_REQUEST", refs)
    if len(timeline.links_to) > _MOST_LINKS:
        text = f"{len(timeline.links_to) - _MOST_LINKS} more linked requests are in the timeline."
        yield Sentence("join", text, "LINKED_REQUEST")
    for linking in timeline.linked_from[:_MOST_LINKS]:
        text = f"{linking.service} ({linking.operation}) links to it from trace {linking.trace_id}."
        refs = (linking.to_span_id, f"{linking.trace_id}/{linking.span_id}")
        yield Sentence("join", text, "LINKED_REQUEST", refs)
    if len(timeline.linked_from) > _MOST_LINKS:
        count = len(timeline.linked_from) - _MOST_LINKS
        yield Sentence("join", f"{count} more link to it.", "LINKED_REQUEST")


def _tell_link(link: Link, *, is_joined: bool) -> Sentence:
    rule = f"JOIN_TIER_{link.tier}"
    if not link.to:
        names = _tell_rejected(link)
        text = f"{link.from_} was joined with nothing{' else' if is_joined else ''}"
        refs = (link.from_, *(item.to for item in link.rejected[:_MOST_CANDIDATES]))
        return Sentence(
            "join", f"{text}; candidates: {names}." if names else f"{text}.", rule, refs
        )
    proofs = "; ".join(
        f"{proof.field} {proof.left}"
        + (f" against {proof.right}" if proof.right != proof.left else "")
        for proof in link.evidence
    )
    basis = _TIER_WORDS.get(link.tier, "")
    text = f"{link.from_} and {link.to} belong together by {basis} (confidence {link.confidence:g})"
    text += f": {proofs}." if proofs else "."
    if link.rejected:
        text += f" Rejected: {_tell_rejected(link)}."
    return Sentence("join", text, rule, (link.from_, link.to))


def _tell_rejected(link: Link) -> str:
    """Name the likeliest candidates with their confidence and why they were not taken."""
    likeliest = sorted(link.rejected, key=lambda item: (-item.confidence, item.to))
    told = [f"{i.to} ({i.confidence:g}: {i.reason})" for i in likeliest[:_MOST_CANDIDATES]]
    if len(likeliest) > _MOST_CANDIDATES:
        told.append(f"{len(likeliest) - _MOST_CANDIDATES} more")
    return ", ".join(told)


def _tell_findings(timeline: Timeline) -> Iterator[Sentence]:
    for finding in timeline.findings:
        fix = f" Fix: {_sentence(finding.fix)}" if finding.fix else ""
        text = f"{_sentence(finding.title)} {_sentence(finding.message)}{fix}"
        yield Sentence("findings", text.strip(), finding.rule, finding.refs)


def _tell_missing(timeline: Timeline) -> Iterator[Sentence]:
    for item in timeline.expected:
        if item.status == "arrived":
            continue
        until = "" if item.deadline_ns is None else f" until {format_timestamp(item.deadline_ns)}"
        text = {
            "late": f"{item.source} has not reported yet; it may still come{until}.",
            "not_sampled": f"{item.source} was told not to record this request.",
            "never": f"{item.source} should have reported and no longer will.",
        }.get(item.status, f"{item.source}: {item.status}.")
        yield Sentence("missing", text, "EXPECTED")
    state = {
        "provisional": "The timeline is provisional: later arrivals may change it.",
        "complete": "Every expected source has reported; corrections may still arrive.",
        "final": "The timeline is final: nothing more is expected.",
    }.get(timeline.state)
    if state:
        yield Sentence("missing", state, "STATE")


def _root(timeline: Timeline) -> TimelineSpan | None:
    for span in timeline.spans:
        if span.span_id == timeline.root_span_id:
            return span
    return timeline.spans[0] if timeline.spans else None


def _share(part_ns: int, total_ns: int) -> str:
    return f" ({part_ns / total_ns:.1%})" if total_ns > 0 else ""


def _join_words(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _sentence(text: str) -> str:
    stripped = text.strip()
    return stripped if stripped.endswith((".", "!", "?")) else f"{stripped}."
