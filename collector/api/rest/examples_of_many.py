"""
Examples of answers about many requests: one invented hour of an API.
"""

from collector.query.reports.apis import ApiReport, Apis
from collector.query.reports.cohorts import Difference, Feature
from collector.query.reports.logged import LoggedReport
from collector.query.reports.services import (
    EdgeReport,
    Edges,
    NodeReport,
    ServiceReport,
    Services,
)
from collector.query.reports.shifts import ApiChange, NumberShift, TimeShift
from collector.query.reports.slow import (
    CohortReport,
    Percentiles,
    Slow,
    TimeReport,
)
from collector.query.reports.wanted import Basis
from collector.query.results import TimeRange
from collector.query.timelines.explanation import Sentence
from collector.timestamps import NS_PER_H, NS_PER_MS, NS_PER_S

_RECORD = "9d2f6c1e-5b7a-4c30-8e4f-2a6b8c0d1e3f"
_OTHER = "a3d9e0b1-5c74-4f1e-9b62-0e8d7c6b5a49"
_START_NS = 1_772_355_600 * NS_PER_S  # 2026-03-01T09:00:00Z
_HOUR = TimeRange(start_ns=_START_NS, end_ns=_START_NS + NS_PER_H)
_HOUR_BEFORE = TimeRange(start_ns=_START_NS - NS_PER_H, end_ns=_START_NS)

_BASIS = Basis(stitched=1_840, requests=7_200)
APIS = Apis(
    apis=(
        ApiReport(
            gateway="azure-apim",
            api="orders-api",
            groups={"consumer": "acme-mobile"},
            requests=7_200,
            requests_per_s=2.0,
            errors=36,
            error_ratio=0.005,
            refused=81,
            errors_by_layer={"app": 28, "gateway": 8},
            measured=7_200,
            p50_ns=88 * NS_PER_MS,
            p95_ns=310 * NS_PER_MS,
            p99_ns=1_250 * NS_PER_MS,
            join_coverage=0.998,
            shares={
                "client": 0.01,
                "gateway": 0.06,
                "network": 0.04,
                "mesh": 0.05,
                "application": 0.62,
                "dependency": 0.21,
                "unexplained": 0.01,
            },
            stitched=1_840,
            changes=(
                ApiChange(
                    against="previous",
                    range=_HOUR_BEFORE,
                    requests=7_012,
                    requests_per_s=NumberShift(
                        before=1.948, delta=0.052, q_value=0.21, is_significant=False
                    ),
                    error_ratio=NumberShift(
                        before=0.0047, delta=0.0003, q_value=0.8, is_significant=False
                    ),
                    p50=TimeShift(
                        before_ns=87 * NS_PER_MS,
                        delta_ns=NS_PER_MS,
                        q_value=0.4,
                        is_significant=False,
                    ),
                    p95=TimeShift(
                        before_ns=220 * NS_PER_MS,
                        delta_ns=90 * NS_PER_MS,
                        q_value=0.0002,
                        is_significant=True,
                    ),
                ),
            ),
        ),
    ),
    logged_only=(
        LoggedReport(
            name="shop.internal",
            requests=180,
            requests_per_s=0.05,
            errors=3,
            error_ratio=0.016667,
            measured=180,
            p50_ns=12 * NS_PER_MS,
            p95_ns=61 * NS_PER_MS,
            p99_ns=140 * NS_PER_MS,
        ),
    ),
    range=_HOUR,
    group_by=("consumer",),
    note="",
)
SERVICES = Services(
    services=(
        ServiceReport(
            service="orders",
            role="service",
            requests=7_200,
            requests_per_s=2.0,
            visits=7_236,
            errors=28,
            error_ratio=0.003870,
            p50_ns=71 * NS_PER_MS,
            p95_ns=280 * NS_PER_MS,
            p99_ns=1_190 * NS_PER_MS,
            self_p50_ns=14 * NS_PER_MS,
            self_p95_ns=39 * NS_PER_MS,
            critical_ns=17 * NS_PER_MS,
            proxy_share=0.031,
            retries=36,
            is_inferred=False,
            pods=("orders-7d9c5b6f4-x2k8p",),
            nodes=("node-a",),
            zones=("westeurope-1",),
            versions=("1.5",),
            seen=1_851,
        ),
    ),
    logged_only=(),
    range=_HOUR,
    basis=_BASIS,
    note="",
)
EDGES = Edges(
    nodes=(
        NodeReport(
            name="orders",
            role="service",
            api="",
            operation="",
            requests=7_200,
            requests_per_s=2.0,
            errors=28,
            error_ratio=0.003870,
            p50_ns=71 * NS_PER_MS,
            p95_ns=280 * NS_PER_MS,
            is_inferred=False,
        ),
    ),
    edges=(
        EdgeReport(
            caller="orders",
            callee="payments",
            calls=3_610,
            calls_per_s=1.0028,
            errors=11,
            error_ratio=0.003047,
            p50_ns=32 * NS_PER_MS,
            p95_ns=140 * NS_PER_MS,
            p99_ns=610 * NS_PER_MS,
            proxy_ns=1_700_000,
            proxy_share=0.034,
            retries=10,
            retry_ratio=0.00277,
            is_inferred=False,
            is_async=False,
            is_mirrored=False,
            seen=922,
        ),
    ),
    range=_HOUR,
    basis=_BASIS,
    note="",
)
SLOW = Slow(
    select="slow",
    threshold_ns=310 * NS_PER_MS,
    population=Percentiles(
        source="records",
        requests=7_200,
        errors=36,
        measured=7_200,
        p50_ns=88 * NS_PER_MS,
        p95_ns=310 * NS_PER_MS,
        p99_ns=1_250 * NS_PER_MS,
    ),
    stitched=Percentiles(
        source="stitched",
        requests=7_184,
        errors=36,
        measured=1_840,
        p50_ns=88 * NS_PER_MS,
        p95_ns=311 * NS_PER_MS,
        p99_ns=1_250 * NS_PER_MS,
    ),
    selected=CohortReport(range=_HOUR, requests=360, observed=360, joined=359),
    baseline=CohortReport(range=_HOUR, requests=6_824, observed=1_480, joined=1_477),
    differences=(
        Difference(
            feature=Feature(
                name="pod", value="payments-5c6d7-m9x2k", service="payments", is_symptom=False
            ),
            also=(),
            share_selected=0.84,
            share_baseline=0.07,
            lower=0.72,
            upper=0.81,
            q_value=1e-9,
            selected=302,
            baseline=103,
            delta_ns=412 * NS_PER_MS,
            examples_selected=(_RECORD,),
            examples_baseline=(_OTHER,),
        ),
    ),
    phases=(
        TimeReport(
            name="app",
            service="",
            operation="",
            selected_ns=498 * NS_PER_MS,
            baseline_ns=61 * NS_PER_MS,
            delta_ns=437 * NS_PER_MS,
            p50_ns=60 * NS_PER_MS,
            p95_ns=301 * NS_PER_MS,
            share=0.96,
            requests=1_836,
        ),
    ),
    calls=(
        TimeReport(
            name="payments POST /charge",
            service="payments",
            operation="POST /charge",
            selected_ns=430 * NS_PER_MS,
            baseline_ns=18 * NS_PER_MS,
            delta_ns=412 * NS_PER_MS,
            p50_ns=17 * NS_PER_MS,
            p95_ns=140 * NS_PER_MS,
            share=0.9,
            requests=1_102,
        ),
    ),
    sentences=(
        Sentence(
            "differences",
            "84 % of the slow requests ran on pod payments-5c6d7-m9x2k of payments, but only 7 % "
            "of the others; requests that did take 412 ms longer.",
            "COHORT_DIFFERENCE",
            (_RECORD, _OTHER),
        ),
    ),
    note="",
)
