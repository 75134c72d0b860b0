"""
One event of an event hub into records, by whichever adapter its records are for.

A hub may carry the logs of several Azure resources and policy events side by side. Diagnostic
records name their kind in `category` or `Type`; everything else is API Management's.

Source: azure-monitor-docs platform/resource-logs-schema.md; azure-docs log-to-eventhub-policy.md.
"""

from collections.abc import Sequence

from collector.decode.fields import Row
from collector.decode.gateways import Adapter, get_adapter
from collector.decode.reading import Reader, read_body
from collector.model import Decoded, GatewayRecord

_DEFAULT = "azure-apim"
_BY_CATEGORY = {
    "applicationgatewayaccesslog": "azure-application-gateway",
    "applicationgatewayfirewalllog": "azure-application-gateway",
    "trafficcontrolleraccesslog": "azure-agc",
    "trafficcontrollerfirewalllog": "azure-agc",
    "frontdooraccesslog": "azure-front-door",
    "frontdoorwebapplicationfirewalllog": "azure-front-door",
    "frontdoorhealthprobelog": "azure-front-door",
    "azurecdnaccesslog": "azure-front-door",
}


def decode_event(body: bytes) -> Decoded:
    """
    Decode one event.

    Shape: a diagnostic envelope, whose records may be of several kinds, or what a policy wrote.

    Raises:
        Undecodable: it is neither JSON nor a line that a policy writes. Never retried.
    """
    return read_body(_READER, body).decoded()


def _adapter_for(row: Row) -> Adapter:
    if str(row.get("Type", "")).startswith("App"):
        return get_adapter("azure-app-insights")
    return get_adapter(_BY_CATEGORY.get(str(row.get("category", "")).lower(), _DEFAULT))


def _is_row(row: Row) -> bool:
    return _adapter_for(row).reader.is_row(row)


def _read_row(row: Row) -> GatewayRecord:
    return _adapter_for(row).reader.read_row(row)


def _finish(records: list[GatewayRecord]) -> Sequence[GatewayRecord]:
    for name in (_DEFAULT, "azure-app-insights"):
        records = list(get_adapter(name).reader.finish(records))
    return records


_READER = Reader(is_row=_is_row, read_row=_read_row, finish=_finish)
