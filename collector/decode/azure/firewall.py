"""
What the web application firewall of an Azure gateway logs about a request: one row a rule.

A row adds to the request with the same transaction or tracking id.

Source: azure-monitor-docs reference/tables/agwfirewalllogs.md and agcfirewalllogs.md; azure-docs
web-application-firewall, "Resource logs" (actions and anomaly scoring).
"""

from collector.decode.azure.rows import FlatRow, raw_text, require_start, resource_name
from collector.decode.fields import NotARequest, read_text
from collector.decode.waf import WAF_LOG, note_rules
from collector.model import GatewayRecord, Id


def read_firewall_row(
    flat: FlatRow, gateway: str, *, id_column: str, id_kind: str
) -> GatewayRecord:
    """
    Return the record of one row.

    Raises:
        NotARequest: it names no request or no rule.
        FieldError: it has no time.
    """
    request_id = read_text(flat, id_column)
    rule = read_text(flat, "ruleid", "rulename")
    if not request_id or not rule:
        raise NotARequest("category", "a row of the firewall that names no request and rule")
    action = read_text(flat, "action")
    message = read_text(flat, "message", "detailedmessage", "detailsmessage")
    record = GatewayRecord(
        gateway=gateway,
        record_id=request_id,
        start_ns=require_start(flat, "timegenerated", "time", "timestamp").ns,
        instance=resource_name(read_text(flat, "resourceid")),
        source=WAF_LOG,
        ids=(Id(id_kind, request_id),),
        host=read_text(flat, "hostname"),
        client_address=read_text(flat, "clientip"),
        raw=raw_text(flat),
    )
    note_rules(record, ((rule, action, message),))
    return record
