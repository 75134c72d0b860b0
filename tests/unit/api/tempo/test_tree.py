"""Relations of spans, against what their definitions say."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.api.tempo.tree import Tree
from collector.api.traces.shown import ShownTrace
from tests.unit.api.tempo.test_traceql import span

Parents = dict[str, str]
Relation = Callable[[Parents, str, str], bool]


def is_below(parents: Parents, low: str, high: str) -> bool:
    """Tell whether the way up from *low* meets *high*; rings are gone round once."""
    place, seen = parents.get(low), set()
    while place is not None and place not in seen:
        if place == high:
            return True
        seen.add(place)
        place = parents.get(place)
    return False


RELATIONS: dict[str, Relation] = {
    ">": lambda parents, left, right: parents.get(right) == left,
    "<": lambda parents, left, right: parents.get(left) == right,
    ">>": lambda parents, left, right: is_below(parents, right, left),
    "<<": lambda parents, left, right: is_below(parents, left, right),
    "~": lambda parents, left, right: (
        left != right and left in parents and parents[left] == parents.get(right)
    ),
}
IDS = [f"{number:016x}" for number in range(7)]


def make_tree(links: list[str]) -> tuple[Tree, Parents]:
    spans = tuple(span(own, parent) for own, parent in zip(IDS, links, strict=True))
    parents = {own: p for own, p in zip(IDS, links, strict=True) if p in IDS and p != own}
    return Tree(ShownTrace("ab" * 16, spans)), parents


@given(
    st.lists(st.sampled_from([*IDS, "", "missing"]), min_size=7, max_size=7),
    st.sets(st.sampled_from(IDS)),
    st.sets(st.sampled_from(IDS)),
    st.sampled_from(sorted(RELATIONS)),
)
def test_operators_are_what_their_definitions_say(
    links: list[str], lefts: set[str], rights: set[str], relation: str
) -> None:
    """Of any spans, rings and missing parents among them, exactly the related ones are found."""
    tree, parents = make_tree(links)
    pairs = [
        (left, right)
        for left in lefts
        for right in rights
        if RELATIONS[relation](parents, left, right)
    ]
    found = {right for _, right in pairs}
    assert tree.relate(relation, lefts, rights) == found
    assert tree.relate(f"!{relation}", lefts, rights) == rights - found
    assert tree.relate(f"&{relation}", lefts, rights) == found | {left for left, _ in pairs}


@given(st.lists(st.sampled_from([*IDS, "", "missing"]), min_size=7, max_size=7))
def test_nested_sets_lie_in_each_other_as_spans_do(links: list[str]) -> None:
    """What is below a span lies between its left and right; spans in a ring have none."""
    tree, parents = make_tree(links)
    sets = {own: tree.nested_set(own) for own in IDS}
    placed = {own for own in IDS if sets[own] != (0, 0, 0)}
    rings = {own for own in IDS if is_below(parents, own, own)}
    assert not placed & rings
    for own in placed:
        above, left, right = sets[own]
        assert left < right
        assert above == (sets[parents[own]][1] if own in parents else above)
        for other in placed:
            lies_within = left < sets[other][1] and sets[other][2] < right
            assert lies_within == is_below(parents, other, own)


@pytest.mark.parametrize(
    ("links", "above"),
    [
        (["", IDS[0], "missing", *[IDS[2]] * 4], [-1, 1, 0]),
        (["missing", *[IDS[0]] * 6], [-1, 1, 1]),
    ],
)
def test_a_missing_parent_makes_no_root_beside_one(links: list[str], above: list[int]) -> None:
    """Without any root the first span whose parent is missing is one."""
    tree, _ = make_tree(links)
    assert [tree.nested_set(own)[0] for own in IDS[:3]] == above
