"""
Example of a budget for the OpenAPI document.
"""

from collector.query.reports.budget import (
    Budget,
    BurnRate,
    ErrorBudget,
    Spending,
    WhatIf,
    hold,
)
from collector.query.results import TimeRange
from collector.timestamps import NS_PER_MIN, NS_PER_MS, NS_PER_S

_END_NS = 1_772_359_200 * NS_PER_S  # 2026-03-01T10:00:00Z
BUDGET = Budget(
    verdict="missed",
    targets=(
        hold(
            "p95",
            300 * NS_PER_MS,
            9_120,
            {0.94: 318 * NS_PER_MS, 0.95: 331 * NS_PER_MS, 0.96: 349 * NS_PER_MS},
        ),
    ),
    errors=ErrorBudget(
        objective_ratio=0.995,
        allowed_ratio=0.005,
        burn_rates=(
            BurnRate(window="range", requests=9_120, bad=31, bad_ratio=0.0034, burn_rate=0.68),
            BurnRate(window="5 min", requests=760, bad=19, bad_ratio=0.025, burn_rate=5.0),
        ),
        verdict="kept",
    ),
    spending=(
        Spending(
            role="dependency",
            service="postgresql",
            mean_ns=41 * NS_PER_MS,
            share=0.34,
            slowest_mean_ns=228 * NS_PER_MS,
            slowest_share=0.61,
            requests=4_870,
        ),
    ),
    what_if=(
        WhatIf(
            role="dependency",
            service="postgresql",
            factor=0.3,
            p50_ns=96 * NS_PER_MS,
            p95_ns=262 * NS_PER_MS,
            p99_ns=420 * NS_PER_MS,
            p95_saved_ns=69 * NS_PER_MS,
        ),
    ),
    requests=9_120,
    stitched=4_910,
    range=TimeRange(start_ns=_END_NS - 60 * NS_PER_MIN, end_ns=_END_NS),
    note="What-if is the most that a faster hop can save.",
)
