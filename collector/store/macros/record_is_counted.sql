-- Whether a stored version of a gateway record counts in statistics: not if it only adds to a request that
-- another log tells of, nor if it was made of spans and the gateway's own log tells of the same request,
-- under the same id or in the same trace. Reads no ids of gateways that send no spans.
source NOT IN ('app-dependencies', 'llm-log', 'websocket-log') AND (source != 'span' OR (
    (gateway, record_id) GLOBAL NOT IN (
        SELECT gateway, record_id FROM {database:Identifier}.gateway_record
        WHERE {{around:bucket}} AND source != 'span' AND gateway GLOBAL IN (
            SELECT gateway FROM {database:Identifier}.gateway_record WHERE {{around:bucket}} AND source = 'span'))
    AND (gateway, trace_id) GLOBAL NOT IN (
        SELECT gateway, trace_id FROM {database:Identifier}.gateway_record
        WHERE {{around:bucket}} AND source != 'span' AND trace_id != '' AND gateway GLOBAL IN (
            SELECT gateway FROM {database:Identifier}.gateway_record WHERE {{around:bucket}} AND source = 'span'))))
