"""
One event of an event hub into records, by whichever adapter its records are for.

A hub may carry the logs of several Azure resources and policy events side by side. Diagnostic
records name their kind in `category` or `Type`; everything else is API Management's.

Source: azure-monitor-docs platform/resource-logs-schema.md; azure-docs log-to-eventhub-policy.md.
"""

from typing import Any

import orjson

from collector.decode.gateways import get_adapter
from collector.model import Decoded, GatewayRecord, RecordError

_DEFAULT = "azure-apim"
_BY_CATEGORY = {
    "applicationgatewayaccesslog": "azure-application-gateway",
    "trafficcontrolleraccesslog": "azure-agc",
}


def decode_event(body: bytes) -> Decoded:
    """
    Decode one event.

    Shape: a diagnostic envelope, whose records may be of several kinds, or what a policy wrote.

    Raises:
        Undecodable: it is not JSON. Never retried.
    """
    groups = _split_by_adapter(body)
    if groups is None:
        return get_adapter(_DEFAULT).decode(body)
    records: list[GatewayRecord] = []
    rejected: list[RecordError] = []
    for name, group in groups.items():
        decoded = get_adapter(name).decode(orjson.dumps({"records": group}))
        records.extend(decoded.records)
        rejected.extend(decoded.rejected)
    return Decoded(records, rejected)


def _split_by_adapter(body: bytes) -> dict[str, list[Any]] | None:
    """Return the records of an envelope by adapter, or `None` when they are all of one."""
    try:
        envelope = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None  # JSON lines or no JSON: the adapter tells
    records = envelope.get("records") if isinstance(envelope, dict) else None
    if not isinstance(records, list):
        return None
    groups: dict[str, list[Any]] = {}
    for record in records:
        groups.setdefault(_adapter_for(record), []).append(record)
    return None if groups.keys() <= {_DEFAULT} else groups


def _adapter_for(record: Any) -> str:
    if not isinstance(record, dict):
        return _DEFAULT
    if str(record.get("Type", "")).startswith("App"):
        return "azure-app-insights"
    return _BY_CATEGORY.get(str(record.get("category", "")).lower(), _DEFAULT)
