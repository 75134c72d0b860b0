-- Stored versions of gateway records that fit a filter, in the order of a search, from a cursor on: at
-- most `limit`, or all that are equal in value and start to the last of them.
-- By duration, connections come last: a long one is no slow request.
-- The order has no more columns than it needs, and ties are only asked for where there is nothing else: then
-- the engine reads the other columns of the rows that it returns, and not of all (250,000 records: 21 CPU ms
-- instead of 32; in two statements, the first of which finds the last row's value, 38).
-- A version may be out of date: the caller keeps those that are the newest of their record.
{% from "macros/requests.sql" import around, five_minutes, record_has_left, record_is_joined, traces_of_service %}
SELECT
    {% if by_start %}start_ns{% else %}answer_ns{% endif %} AS value, start_ns, gateway, record_id, received_ns, trace_id
FROM {database:Identifier}.gateway_record
WHERE bucket >= {{ five_minutes("{start_ns:Int64}") }} AND bucket <= {{ five_minutes("{end_ns:Int64}") }}
    AND start_ns >= {start_ns:Int64} AND start_ns < {end_ns:Int64}
    {% if gateway %}AND gateway = {gateway:String}{% endif %}
    {% if api %}AND api = {api:String}{% endif %}
    {% if operation %}AND operation = {operation:String}{% endif %}
    {% if route %}AND (route = {route:String} OR route = '' AND path = {route:String}){% endif %}
    {% if method %}AND method = {method:String}{% endif %}
    {% if host %}AND lower(host) = {host:String}{% endif %}
    {% if consumer %}AND consumer = {consumer:String}{% endif %}
    {% if revision %}AND api_revision = {revision:String}{% endif %}
    {% if status %}AND ifNull(status, -1) = {status:Int32}{% endif %}
    {% if status_class %}AND intDiv(ifNull(status, 0), 100) = {status_class:Int32}{% endif %}
    {% if error %}AND is_error = {error:Bool}{% endif %}
    {% if min_duration_ns %}
    AND ifNull(duration_ns, -1) >= {min_duration_ns:Int64}
    AND (answer_ns >= {min_duration_ns:Int64} OR answer_ns = -1)
    {% endif %}
    {% if max_duration_ns %}AND ifNull(duration_ns, 9223372036854775807) <= {max_duration_ns:Int64}{% endif %}
    {% if received_since_ns %}AND received_ns > {received_since_ns:Int64}{% endif %}
    {% if text %}
    AND (multiSearchAnyCaseInsensitiveUTF8(path, {spellings:Array(String)})
        OR positionCaseInsensitiveUTF8(route, {text:String}) > 0
        OR positionCaseInsensitiveUTF8(operation, {text:String}) > 0
        OR positionCaseInsensitiveUTF8(api, {text:String}) > 0
        OR positionCaseInsensitiveUTF8(error_reason, {text:String}) > 0
        OR positionCaseInsensitiveUTF8(error_source, {text:String}) > 0
        OR positionCaseInsensitiveUTF8(error_message, {text:String}) > 0
        {% if id_prefix %}
        OR startsWith(lower(replaceAll(record_id, '-', '')), {id_prefix:String})
        OR startsWith(trace_id, {id_prefix:String})
        OR arrayExists(id -> startsWith(lower(replaceAll(id.value, '-', '')), {id_prefix:String}), ids)
        {% endif %})
    {% endif %}
    {% if thorough_service %}
    AND (cityHash64(trace_id) GLOBAL IN ({{ traces_of_service() }})
        OR cityHash64(trace_id) GLOBAL NOT IN (
            SELECT cityHash64(trace_id) FROM {database:Identifier}.trace_summary WHERE {{ around("bucket") }}))
    {% endif %}
    {% if thorough_joined %}AND {{ record_has_left() }} AND (source = {span_source:String} OR {{ record_is_joined() }} = {joined:Bool}){% endif %}
    {% if after %}AND (value, start_ns) <= ({after_value:Int64}, {after_start_ns:Int64}){% endif %}
ORDER BY value DESC, start_ns DESC
LIMIT {limit:UInt32}
    {% if with_ties %}WITH TIES{% endif %}
