"""
Pairing two groups at the least total cost.

Source: the Hungarian method in the form of shortest augmenting paths (Jonker and Volgenant 1987),
O(rows² × columns).
"""

from collections.abc import Mapping, Sequence
from math import inf

# A component larger than this is paired greedily: the exact answer would take seconds.
_MAX_CELLS = 40_000


def least_cost_pairs(costs: Mapping[tuple[int, int], float]) -> list[tuple[int, int]]:
    """
    Return the pairs (row, column) of least total cost, as many as there can be.

    *costs* holds the pairs that are possible. Each row and each column is in one pair at most.
    """
    if len(costs) < 2:
        return list(costs)  # one request with one call, as most are
    found: list[tuple[int, int]] = []
    for rows, columns in _components(costs):
        if len(rows) * len(columns) > _MAX_CELLS:
            found += _greedy(costs, rows)
            continue
        if len(rows) > len(columns):
            turned = [[costs.get((row, column), inf) for row in rows] for column in columns]
            pairs = [(rows[j], columns[i]) for i, j in _solve(turned)]
        else:
            matrix = [[costs.get((row, column), inf) for column in columns] for row in rows]
            pairs = [(rows[i], columns[j]) for i, j in _solve(matrix)]
        found += [pair for pair in pairs if pair in costs]
    return sorted(found)


def _components(
    costs: Mapping[tuple[int, int], float],
) -> list[tuple[list[int], list[int]]]:
    """Return the groups of rows and columns that possible pairs connect."""
    columns_of: dict[int, list[int]] = {}
    rows_of: dict[int, list[int]] = {}
    for row, column in costs:
        columns_of.setdefault(row, []).append(column)
        rows_of.setdefault(column, []).append(row)
    seen: set[int] = set()
    found = []
    for first in sorted(columns_of):
        if first in seen:
            continue
        seen.add(first)
        rows, columns = [first], set[int]()
        for row in rows:
            for column in columns_of[row]:
                columns.add(column)
                fresh = [other for other in rows_of[column] if other not in seen]
                seen.update(fresh)
                rows += fresh
        found.append((sorted(rows), sorted(columns)))
    return found


def _greedy(costs: Mapping[tuple[int, int], float], rows: Sequence[int]) -> list[tuple[int, int]]:
    wanted = set(rows)
    used_rows: set[int] = set()
    used_columns: set[int] = set()
    found = []
    for _, (row, column) in sorted((cost, pair) for pair, cost in costs.items()):
        if row in wanted and row not in used_rows and column not in used_columns:
            used_rows.add(row)
            used_columns.add(column)
            found.append((row, column))
    return found


def _solve(matrix: Sequence[Sequence[float]]) -> list[tuple[int, int]]:
    """Return the cheapest pairs of a matrix that has no more rows than columns."""
    # What is impossible costs more than everything possible together: it is taken last.
    dear = 1.0 + 2.0 * sum(cost for row in matrix for cost in row if cost < inf)
    height, width = len(matrix), len(matrix[0])
    of_row, of_column = [0.0] * (height + 1), [0.0] * (width + 1)
    row_at = [0] * (width + 1)
    for row in range(1, height + 1):
        row_at[0] = row
        column = 0
        least = [inf] * (width + 1)
        before = [0] * (width + 1)
        is_used = [False] * (width + 1)
        while row_at[column]:
            is_used[column] = True
            at, step, following = row_at[column], inf, 0
            for other in range(1, width + 1):
                if is_used[other]:
                    continue
                cost = matrix[at - 1][other - 1]
                reduced = (dear if cost == inf else cost) - of_row[at] - of_column[other]
                if reduced < least[other]:
                    least[other], before[other] = reduced, column
                if least[other] < step:
                    step, following = least[other], other
            for other in range(width + 1):
                if is_used[other]:
                    of_row[row_at[other]] += step
                    of_column[other] -= step
                else:
                    least[other] -= step
            column = following
        while column:
            row_at[column] = row_at[before[column]]
            column = before[column]
    return [(row_at[column] - 1, column - 1) for column in range(1, width + 1) if row_at[column]]
