"""
Records of the spans that gateways wrote, beside the records that they logged.
"""

from collections.abc import Sequence

from collector.decode.records.from_spans import SOURCE, ServiceRule, reconcile, views_from_spans
from collector.model import GatewayRecord, Span
from collector.stitch.tree.nodes import Node


def add_records_of_spans(
    records: Sequence[GatewayRecord],
    spans: Sequence[Span],
    nodes: Sequence[Node],
    rules: Sequence[ServiceRule],
) -> list[GatewayRecord]:
    """
    Return *records* with those of the spans that gateways wrote, and mark these as a gateway's own.

    A stored record of spans gives way to the one made of the spans at hand, which are no fewer.
    """
    views = views_from_spans(spans, rules)
    own = {span_id for view in views for span_id in view.span_ids}
    for node in nodes if own else ():
        if (node.trace_id, node.span_id) in own:
            node.role = "gateway"
    made = {(view.record.gateway, view.record.record_id) for view in views}
    logs = [record for record in records if record.source != SOURCE]
    kept = [r for r in records if r.source == SOURCE and (r.gateway, r.record_id) not in made]
    of_spans = [*kept, *(view.record for view in views)]
    return [*logs, *(reconcile(record, logs) for record in of_spans)]
