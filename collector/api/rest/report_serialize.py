"""
Answers about many requests as the JSON documents of `sample_documents`.
"""

from typing import Any

from collector.query.learned.likely_partners import Learned
from collector.query.reports.doctor import DoctorFinding, DoctorReport
from collector.query.reports.joins import ApiJoins, JoinReport
from collector.query.reports.outcomes import ApiOutcomes, OutcomeReport
from collector.query.reports.sampling import SampleWish
from collector.query.timestamps import format_timestamp, to_ms

Document = dict[str, Any]


def render_doctor(report: DoctorReport) -> Document:
    """Return the document of `GET /api/v1/doctor`."""
    return {
        "findings": [_render_finding(finding) for finding in report.findings],
        "looked_at": report.looked_at,
        "range": _render_range(report.wish),
        "note": report.note,
    }


def render_joins(report: JoinReport) -> Document:
    """Return the document of `GET /api/v1/joins`."""
    return {
        "apis": [_render_joins(api) for api in report.apis],
        "looked_at": report.looked_at,
        "unrecorded": report.unrecorded,
        "range": _render_range(report.wish),
        "note": report.note,
    }


def render_outcomes(report: OutcomeReport) -> Document:
    """Return the document of `GET /api/v1/outcomes`."""
    return {
        "apis": [_render_outcomes(api) for api in report.apis],
        "looked_at": report.looked_at,
        "range": _render_range(report.wish),
        "note": report.note,
    }


def _render_range(wish: SampleWish) -> Document:
    return {"start": format_timestamp(wish.start_ns), "end": format_timestamp(wish.end_ns)}


def _render_finding(finding: DoctorFinding) -> Document:
    diagnosis = finding.diagnosis
    return {
        "rule": diagnosis.rule,
        "title": diagnosis.title,
        "meaning": diagnosis.meaning,
        "hop": diagnosis.place,
        "layer": finding.layer,
        "gateway": diagnosis.gateway,
        "share_of_traffic": round(diagnosis.share, 6),
        "requests": diagnosis.passing,
        "affected": diagnosis.requests,
        "first_seen": format_timestamp(diagnosis.first_seen_ns),
        "last_seen": format_timestamp(diagnosis.last_seen_ns),
        "example_ids": diagnosis.examples,
        "message": diagnosis.message,
        "fix": diagnosis.fix,
        "refs": diagnosis.refs,
    }


def _render_joins(item: ApiJoins) -> Document:
    tiers = dict(item.tiers)
    joined = item.records - tiers.get("none", 0)
    return {
        "gateway": item.gateway,
        "api": item.api,
        "records": item.records,
        "tiers": tiers,
        "joined_ratio": round(joined / item.records, 6) if item.records else 0.0,
        "statistical": None if item.learned is None else _render_learned(item.learned),
    }


def _render_learned(learned: Learned) -> Document:
    return {
        "start": format_timestamp(learned.start_ns),
        "end": format_timestamp(learned.end_ns),
        "records": learned.records,
        "exact_pairs": learned.pairs,
        "unjoined": learned.unjoined,
        "joined": learned.joined,
        "routes": [
            {
                "route": audit.route,
                "audited": audit.audited,
                "claimed": audit.claimed,
                "precision": round(audit.precision, 6),
                "coverage": round(audit.coverage, 6),
                "demoted": audit.is_demoted,
                "curve": [
                    {"claimed_from": low, "measured": round(share, 6), "pairs": pairs}
                    for low, share, pairs in audit.curve
                ],
            }
            for _, audit in sorted(learned.audits.items())
        ],
    }


def _render_outcomes(item: ApiOutcomes) -> Document:
    return {
        "api": item.api,
        "requests": item.requests,
        "outcomes": dict(item.outcomes),
        "matrix": [
            {
                "consumer": count.consumer,
                "gateway_status": count.gateway_status,
                "edge_status": count.edge_status,
                "app_status": count.app_status,
                "outcome": count.outcome,
                "requests": count.requests,
                "wasted_ms": to_ms(count.wasted_ns),
                "example_ids": count.examples,
            }
            for count in item.matrix
        ],
    }
