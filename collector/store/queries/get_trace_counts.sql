-- What a list of records shows of their traces, once for each insert: four columns of get_trace_summaries'
-- twenty-four, since reading a column of 50 traces here and there costs a third of a millisecond.
SELECT trace_id, spans, errors, services
FROM {database:Identifier}.trace_summary
WHERE (bucket, trace_id) IN {keys:Array(Tuple(DateTime, String))}
    OR trace_id IN {long_ids:Array(String)} -- when long_ids
