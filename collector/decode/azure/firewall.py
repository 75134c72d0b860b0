"""
What the web application firewall of an Azure gateway logs about a request: one row a rule.

A row adds to the request with the same transaction or tracking id. What a rule matched is left out
of the row that is kept: it is a piece of a cookie, a header or a body.

Source: azure-monitor-docs reference/tables/agwfirewalllogs.md and agcfirewalllogs.md; azure-docs
web-application-firewall, "Resource logs" (actions and anomaly scoring) and "Azure Front Door".
"""

from dataclasses import dataclass
from typing import Any

from collector.decode.azure.rows import (
    FlatRow,
    canonical_name,
    raw_text,
    require_start,
    resource_name,
)
from collector.decode.fields import NotARequest, Row, read_object, read_text
from collector.decode.waf import WAF_LOG, note_rules
from collector.model import GatewayRecord, Id

_DETECTION = "detection"
# The texts that were matched; `data` of the details is another.
_MATCHED = frozenset(("matchvariablevalue", "detailsdata", "detailsmatches"))


@dataclass(frozen=True, slots=True)
class Firewall:
    """
    The firewall of one gateway product: the categories of its rows, and where they have the ids.

    `rule_column` tells its rows in a table that has no categories; `id_columns` hold the id that
    the request's own row has as `id_kind`.
    """

    gateway: str
    categories: frozenset[str]
    rule_column: str
    id_columns: tuple[str, ...]
    id_kind: str

    def wrote(self, flat: FlatRow) -> bool:
        """Tell whether a row is the firewall's: by its category, or else by its rule."""
        category = read_text(flat, "category").lower()
        # a table of all resources has every column for every row
        return category in self.categories if category else bool(read_text(flat, self.rule_column))


def read_firewall_row(firewall: Firewall, flat: FlatRow) -> GatewayRecord:
    """
    Return the record of one row.

    Raises:
        NotARequest: it names no request or no rule.
        FieldError: it has no time.
    """
    request_id = read_text(flat, *firewall.id_columns)
    rule = read_text(flat, "ruleid", "rulename")
    if not request_id or not rule:
        raise NotARequest("category", "a firewall row without a request id or a rule")
    details = read_object(flat, "details")
    action = read_text(flat, "action")
    if read_text(flat, "policymode").lower() == _DETECTION:
        # what it would have done
        action = f"{action} (detection only)"
    message = read_text(flat, "message", "detailedmessage", "detailsmessage", "detailsmsg")
    message = message or read_text(details, "msg", "message")
    record = GatewayRecord(
        gateway=firewall.gateway,
        record_id=request_id,
        start_ns=require_start(flat, "timegenerated", "time", "timestamp").ns,
        instance=resource_name(read_text(flat, "resourceid")),
        source=WAF_LOG,
        ids=(Id(firewall.id_kind, request_id),),
        host=read_text(flat, "hostname", "host"),
        client_address=read_text(flat, "clientip"),
    )
    flat.original = _without_matched(flat.original)
    record.raw = raw_text(flat)
    note_rules(record, ((rule, action, message),))
    return record


def _without_matched(row: Row) -> dict[str, Any]:
    """Return *row* without the texts that a rule matched, however deep they lie."""
    kept: dict[str, Any] = {}
    for name, value in row.items():
        column = canonical_name(name)
        if column in _MATCHED:
            continue
        if column == "details":
            value = {key: each for key, each in read_object(row, name).items() if key != "data"}
        kept[name] = _open(value)
    return kept


def _open(value: Any) -> Any:
    if value.__class__ is dict:
        return _without_matched(value)
    return [_open(each) for each in value] if value.__class__ is list else value
