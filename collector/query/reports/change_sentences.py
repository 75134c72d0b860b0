"""
A change and its effect in words.
"""

from collector.query.reports import bounds
from collector.query.reports.change import Change, Effect, TimeEffect
from collector.timestamps import format_duration


def write_sentence(change: Change, effect: Effect | None) -> str:
    """Return a change and its effect in words."""
    if effect is None:
        return _what(change)
    return f"{_what(change)} {_effect(effect)}"


def _effect(effect: Effect) -> str:
    whose = "the service's own time" if effect.measure == "service" else "the time of its requests"
    if effect.verdict == "unknown":
        return (
            f"Too few requests to tell what came of it: {effect.before} before and {effect.after} "
            f"after it; {bounds.LEAST} are needed on each side."
        )
    moved = [
        _time(level, shift)
        for level, shift in (("p50", effect.p50), ("p95", effect.p95))
        if shift is not None and shift.is_shift
    ]
    told = [f"{whose} went {' and '.join(moved)}"] if moved else []
    failures = effect.failures
    if failures is not None and failures.is_shift:
        told.append(
            f"failures went from {_percent(failures.before_ratio)} to "
            f"{_percent(failures.after_ratio)}"
        )
    if not told:
        return f"Neither {whose} nor failures moved with it."
    said = ", and ".join(told)
    sentence = f"{said[0].upper()}{said[1:]}."
    if effect.verdict == "elsewhere_too":
        sentence += " What ran without it moved as far at the same time: it does not explain it."
    return sentence


def _time(level: str, shift: TimeEffect) -> str:
    way = "up" if shift.delta_ns > 0 else "down"
    near, far = sorted((abs(shift.lower_ns), abs(shift.upper_ns)))
    before, after = format_duration(shift.before_ns), format_duration(shift.after_ns)
    by = f"by {format_duration(near)} to {format_duration(far)}"
    return f"{way} at {level} from {before} to {after} ({by})"


_NOUNS = {
    "revision": "revision",
    "backend": "backend",
    "instance": "gateway instance",
    "policy": "policy",
    "operation": "operation",
    "node": "node",
}


def _what(change: Change) -> str:
    subject = change.service or change.api or change.gateway
    lead = f"{subject}: " if subject else ""
    told = next((each.title or each.value for each in change.told), "")
    if change.kind == "told":
        return f"{lead}{told} (told by a deployment tool)."
    if change.kind == "rollout":
        again = "came back" if change.is_rollback else "was rolled out"
        what = f"{change.value} {again}"
        if change.former:
            what += f" after {', '.join(change.former[:3])}"
    elif change.kind == "pods":
        count = len(change.pods)
        what = f"{count} new pods of the same version" if count > 1 else f"new pod {change.value}"
    else:
        again = "came back" if change.is_rollback else "was seen for the first time"
        what = f"{_NOUNS[change.kind]} {change.value} {again}"
        if change.former and change.kind in ("revision", "backend"):
            what += f" after {', '.join(change.former[:3])}"
    share = f", {change.share:.0%} of its requests since" if change.share is not None else ""
    known = f" (told as: {told})" if told else ""
    return f"{lead}{what}{share}{known}."


def _percent(ratio: float) -> str:
    return f"{ratio:.0%}" if ratio >= 0.1 else f"{ratio:.1%}"
