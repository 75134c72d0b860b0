-- Rows of logged_request whose edge fits a filter, in the order of a search, from a cursor on: at most `limit`, or all
-- that are equal in value and start to the last of them; see find_records.
-- A row may be a part of its request: the caller keeps those that hold the edge of the whole.
{% from "macros/requests.sql" import around, claimed_keys %}
SELECT
    {% if by_start %}edge.start_ns{% else %}-edge.longest{% endif %} AS value, edge.start_ns AS edge_start_ns,
    key, toUnixTimestamp(bucket) AS bucket_s
FROM {database:Identifier}.logged_request
WHERE {{ around("bucket") }}
    AND edge.start_ns >= {start_ns:Int64} AND edge.start_ns < {end_ns:Int64}
    {% if route %}AND edge.path = {route:String}{% endif %}
    {% if method %}AND edge.method = {method:String}{% endif %}
    {% if host %}AND lower(edge.host) = {host:String}{% endif %}
    {% if status %}AND edge.status = {status:Int32}{% endif %}
    {% if status_class %}AND intDiv(edge.status, 100) = {status_class:Int32}{% endif %}
    {% if error %}AND edge.is_error = {error:Bool}{% endif %}
    {% if min_duration_ns %}AND -edge.longest >= {min_duration_ns:Int64}{% endif %}
    {% if max_duration_ns %}AND -edge.longest BETWEEN 0 AND {max_duration_ns:Int64}{% endif %}
    {% if received_since_ns %}AND received_ns > {received_since_ns:Int64}{% endif %}
    {% if text %}
    AND (multiSearchAnyCaseInsensitiveUTF8(edge.path, {spellings:Array(String)})
        {% if id_prefix %}
        OR startsWith(key, {id_prefix:String})
        OR startsWith(key, {request_prefix:String})
        {% endif %})
    {% endif %}
    {% if thorough_service %}
    AND key GLOBAL IN (
        SELECT key FROM {database:Identifier}.logged_request
        WHERE {{ around("bucket") }} AND has(services, {service:String}))
    {% endif %}
    {% if thorough_unclaimed %}
    AND key GLOBAL NOT IN (
        SELECT key FROM {database:Identifier}.logged_request ARRAY JOIN keys AS each
        WHERE {{ around("bucket") }} AND cityHash64(each) GLOBAL IN ({{ claimed_keys() }}))
    {% endif %}
    {% if after %}AND (value, edge_start_ns) <= ({after_value:Int64}, {after_start_ns:Int64}){% endif %}
ORDER BY value DESC, edge_start_ns DESC
LIMIT {limit:UInt32}
    {% if with_ties %}WITH TIES{% endif %}
