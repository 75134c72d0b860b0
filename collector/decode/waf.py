"""
What a web application firewall in front of a gateway logged about a request, as acts of it.

A rule that blocked is why the request ended; one that only matched is noted beside it.
"""

from collections.abc import Iterable

from collector.attributes import WAF_RULE
from collector.model import GatewayRecord

WAF_LOG = "waf-log"
"""The source of records that only add to a request."""

_BLOCKED = frozenset({"block", "blocked", "deny", "denied"})


def note_rules(record: GatewayRecord, rules: Iterable[tuple[str, str, str]]) -> None:
    """Note *rules* that matched the request of *record*: rule, what it did, and why."""
    for rule, action, message in rules:
        told = ": ".join(part for part in (action, message) if part)
        record.attributes = {**record.attributes, f"{WAF_RULE}{rule}": told}
        if action.lower() in _BLOCKED:
            record.attempts = 0
            record.error_source = "gateway"
            record.error_reason = f"WAF rule {rule}"
            record.error_message = message
