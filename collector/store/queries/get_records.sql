-- Every stored version of some gateway records; `keys` is the table's order.
SELECT
    record_json, received_ns
    {% if whole %}, raw{% endif %}
FROM {database:Identifier}.gateway_record
WHERE (bucket, record_id, gateway) IN {keys:Array(Tuple(DateTime, String, String))}
    {% if as_of %}AND received_ns <= {received_until_ns:Int64}{% endif %}
