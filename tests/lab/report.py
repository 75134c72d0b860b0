"""
The lab's figures: a table of kinds, totals, joins by tier, and what misses its target.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from tests.bench.machine import describe_machine
from tests.lab.run import Results
from tests.lab.scenario import Scenario
from tests.lab.score import CLAIMED, LIKELY_TIER, Score

README = Path(__file__).with_name("README.md")
_BEGIN, _END = "<!-- begin: written by the lab -->", "<!-- end -->"
_HOP_TARGET, _LAYER_TARGET = 0.99, 0.98
_PARTS: dict[str, Callable[[Score], bool | None]] = {
    "hop": lambda score: score.hop,
    "layer": lambda score: score.layer,
    "class": lambda score: score.class_,
    "findings": lambda score: score.findings,
    "phases": lambda score: score.phases,
    "sums": lambda score: score.whole,
    "join": lambda score: score.is_joined_right,
}


def render_table(scenarios: Sequence[Scenario], results: Results, took_s: float) -> str:
    """Return the figures as Markdown, with the command and the machine they were measured on."""
    lines = [
        f"`{' '.join(('python -m tests.lab', *sys.argv[1:]))}` took {took_s:.0f} s on "
        f"{describe_machine()}.",
        "",
        "| kind | what happens | requests | " + " | ".join(_PARTS) + " | sent again |",
        "|---|---|" + "---:|" * (len(_PARTS) + 2),
    ]
    for scenario in scenarios:
        scores = [score for score in results.scores if score.sent.scenario is scenario]
        again = results.disturbed.get(scenario.name, 0)
        cells = [_share(get(score) for score in scores) for get in _PARTS.values()]
        start = f"| {scenario.name} | {scenario.shows} | {len(scores)} | "
        lines.append(start + " | ".join(cells) + f" | {again or ''} |")
    cells = [_share(get(score) for score in results.scores) for get in _PARTS.values()]
    again = sum(results.disturbed.values())
    total = f"| **all {len(scenarios)} kinds** | | {len(results.scores)} | "
    lines.append(total + " | ".join(cells) + f" | {again} |")
    return "\n".join([*lines, "", *_tier_lines(results.scores), ""])


def _share(values: Iterable[bool | None]) -> str:
    counted = [value for value in values if value is not None]
    if not counted:
        return "–"
    right = sum(counted)
    return "100 %" if right == len(counted) else f"**{100 * right / len(counted):.1f} %**"


def _tier_lines(scores: Sequence[Score]) -> list[str]:
    """Precision: of the joins of a tier, how many are right. Coverage: of those due, how many."""
    lines = ["| join tier | due | joined | precision | coverage |", "|---|---:|---:|---:|---:|"]
    tiers = {score.tier for score in scores} | {score.sent.scenario.truth.tier for score in scores}
    for tier in sorted(tier for tier in tiers if tier is not None and tier < LIKELY_TIER):
        due = [score for score in scores if score.sent.scenario.truth.tier == tier]
        joined = [score for score in scores if score.tier == tier]
        precision = _share(score.is_own for score in joined)
        coverage = _share(score.tier == tier and score.is_own for score in due)
        lines.append(f"| {tier} | {len(due)} | {len(joined)} | {precision} | {coverage} |")
    return [*lines, *_likely_lines(scores)]


def _likely_lines(scores: Sequence[Score]) -> list[str]:
    """Joins without a shared id, those that Hopline is sure of apart; coverage is of all due."""
    due = [score for score in scores if score.sent.scenario.truth.tier == LIKELY_TIER]
    if not due:
        return []
    sure = claimed_joins(scores)
    unsure = [s for s in scores if s.tier == LIKELY_TIER and s.confidence < CLAIMED]
    return [
        f"| 4, claimed {claim} | {len(due)} | {len(joined)} "
        f"| {_share(score.is_own for score in joined)} "
        f"| {_share(score in joined and score.is_own for score in due)} |"
        for claim, joined in (("≥ 0.95", sure), ("below", unsure))
    ]


def claimed_joins(scores: Iterable[Score]) -> list[Score]:
    """Return the joins without a shared id that Hopline is sure of."""
    return [s for s in scores if s.tier == LIKELY_TIER and s.confidence >= CLAIMED]


def render_details(results: Results) -> str:
    """Return what was wrong, by kind and how often."""
    counts = Counter(
        (score.sent.scenario.name, text) for score in results.scores for text in score.said
    )
    lines = [f"{name}: {text} (×{count})" for (name, text), count in counts.most_common()]
    return "\n".join([*lines, ""]) + "\n" if lines else ""


def find_misses(results: Results) -> list[str]:
    """Return the targets that were missed, in words."""
    misses = []
    for name, target in (("hop", _HOP_TARGET), ("layer", _LAYER_TARGET), ("sums", 1.0)):
        values = [v for score in results.scores if (v := _PARTS[name](score)) is not None]
        if values and sum(values) < target * len(values):
            misses.append(f"right {name}: {sum(values)} of {len(values)}, due {target:.0%}")
    strangers = [s for s in results.scores if not s.is_own and s.tier != LIKELY_TIER]
    claimed = claimed_joins(results.scores)
    wrong = sum(not score.is_own for score in claimed)
    if claimed and wrong > (1 - CLAIMED) * len(claimed):
        misses.append(f"{wrong} of {len(claimed)} joins without an id claimed ≥ 0.95 are wrong")
    if strangers:
        misses.append(f"{len(strangers)} requests were joined with another request's trace")
    kinds = {score.sent.scenario.name for score in results.scores}
    misses += [
        f"no request of {name} ran as it should" for name in results.disturbed.keys() - kinds
    ]
    return misses


def write_readme(table: str) -> None:
    """Put the table between the markers of the README."""
    text = README.read_text()
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    README.write_text(f"{before}{_BEGIN}\n{table}{_END}{after}")
