"""
How the spans of one trace stand to each other: who called whom, in TraceQL's terms.

Source: grafana/tempo pkg/traceql/ast_execute.go (structural operators), Tempo documentation,
"Structural" and "nestedSet" intrinsics.
"""

from collections import Counter
from collections.abc import Mapping, Set
from functools import cached_property

from collector.api.traces.shown import ShownTrace

_INVERSE = {">": "<", "<": ">", ">>": "<<", "<<": ">>", "~": "~"}
_ROOT = -1


class Tree:
    """Answers questions about parents and children. A span whose parent is missing has none."""

    def __init__(self, trace: ShownTrace) -> None:
        self._trace = trace
        ids = {span.span_id for span in trace.spans}
        self._parents = {
            span.span_id: span.parent_id
            for span in trace.spans
            if span.parent_id in ids and span.parent_id != span.span_id
        }

    def relate(self, operator: str, lefts: Set[str], rights: Set[str]) -> Set[str]:
        """Return what `left operator right` finds: ids of *rights*, and with `&` of *lefts* too."""
        relation = operator.lstrip("!&")
        reached = self._reach(relation, lefts)
        if operator.startswith("!"):
            return rights - reached
        found = rights & reached
        if operator.startswith("&"):
            return found | (lefts & self._reach(_INVERSE[relation], found))
        return found

    def nested_set(self, span_id: str) -> tuple[int, int, int]:
        """
        Return (parent, left, right): whose left and right lie between a span's are below it.

        Parent is the left of the parent, -1 for a root, 0 for a span whose parent is missing.
        """
        return self._nested_sets.get(span_id, (0, 0, 0))

    def _reach(self, relation: str, ids: Set[str]) -> Set[str]:
        """Return the spans that stand in a relation to any of *ids*."""
        parents = self._parents
        match relation:
            case ">":
                return {child for child, parent in parents.items() if parent in ids}
            case "<":
                return {parents[each] for each in ids if each in parents}
            case "~":
                families = Counter(parents[each] for each in ids if each in parents)
                return {
                    child for child, parent in parents.items() if families[parent] > (child in ids)
                }
            case ">>":
                return self._below(ids)
        above: set[str] = set()
        for each in ids:
            parent = parents.get(each)
            while parent is not None and parent not in above:
                above.add(parent)
                parent = parents.get(parent)
        return above

    def _below(self, ids: Set[str]) -> Set[str]:
        found: set[str] = set()
        waiting = list(ids)
        while waiting:
            new = [each for each in self._children.get(waiting.pop(), ()) if each not in found]
            found.update(new)
            waiting += new
        return found

    @cached_property
    def _children(self) -> Mapping[str, list[str]]:
        children: dict[str, list[str]] = {}
        for child, parent in self._parents.items():
            children.setdefault(parent, []).append(child)
        return children

    @cached_property
    def _nested_sets(self) -> Mapping[str, tuple[int, int, int]]:
        tops = []
        first = self._trace.find_root().span_id
        for span in self._trace.spans:
            if span.span_id not in self._parents:
                is_root = span.span_id == first or not span.parent_id
                tops.append((span.span_id, _ROOT if is_root else 0))
        found: dict[str, tuple[int, int, int]] = {}
        number = 0
        for top, above in tops:
            entered = [(top, above)]
            opened: list[tuple[str, int, int]] = []
            while entered or opened:
                if not entered or (opened and self._parents.get(entered[-1][0]) != opened[-1][0]):
                    number += 1
                    span_id, parent, left = opened.pop()
                    found[span_id] = (parent, left, number)
                    continue
                span_id, parent = entered.pop()
                number += 1
                opened.append((span_id, parent, number))
                below = self._children.get(span_id, [])
                entered += [(child, number) for child in reversed(below)]
        return found
