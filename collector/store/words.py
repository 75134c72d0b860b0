"""
Words of the domain that statements speak of: said once, bound to the parameters of their names.

Schema files cannot be bound to values and spell theirs; a test holds them to these.
"""

from collections.abc import Mapping

SPAN_SOURCE = "span"
"""The source of records that were made of a gateway's own spans."""
SIDE_SOURCES = frozenset({"app-dependencies", "llm-log", "mcp-log", "waf-log", "websocket-log"})
"""Sources whose rows add to a request that another log tells of."""
LINE_SOURCES = frozenset({"nginx-log"})
"""Sources whose lines tell less of a request than the entry that another log has of it."""
UNMEASURED_FLAGS = frozenset({"BACKEND_GT_TOTAL", "NEGATIVE_SELF", "STREAMING"})
"""Quality flags of durations that are no measurement of a request's latency."""
MAX_TRACES_OF_ID = 16
"""An id that more traces or records carry than this does not say which of them it means."""

_PARAMETERS: Mapping[str, object] = {
    "span_source": SPAN_SOURCE,
    "line_sources": sorted(LINE_SOURCES),
    "side_sources": sorted(SIDE_SOURCES),
    "unmeasured_flags": sorted(UNMEASURED_FLAGS),
    "max_traces_of_id": MAX_TRACES_OF_ID,
}


def words_of(sql: str) -> dict[str, object]:
    """Return the words that the statement *sql* asks for, by the names of their parameters."""
    return {name: value for name, value in _PARAMETERS.items() if f"{{{name}:" in sql}
