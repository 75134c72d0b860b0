-- Rows of trace_summary whose edge span fits a filter, in the order of a search, from a cursor on: at most
-- `limit`, or all that are equal in value and start to the last of them; see find_records.
-- A row may be a part of its trace: the caller keeps those that hold the edge of the whole.
{% from "macros/requests.sql" import around, edge_start, trace_is_recorded, traces_of_service %}
SELECT
    {% if by_start %}{{ edge_start("place") }}{% else %}place.duration_ns{% endif %} AS value, {{ edge_start("place") }} AS edge_start_ns,
    trace_id, edge.span_id AS edge_span_id, edge.request_key AS request_key
FROM {database:Identifier}.trace_summary
WHERE {{ around("bucket") }}
    AND {{ edge_start("place") }} >= {start_ns:Int64} AND {{ edge_start("place") }} < {end_ns:Int64}
    {% if route %}
    AND multiIf(edge.route != '', edge.route, edge.name != '', edge.name, edge.path) = {route:String}
    {% endif %}
    {% if method %}AND edge.method = {method:String}{% endif %}
    {% if host %}AND lower(edge.host) = {host:String}{% endif %}
    {% if status %}AND edge.status = {status:Int32}{% endif %}
    {% if status_class %}AND intDiv(edge.status, 100) = {status_class:Int32}{% endif %}
    {% if error %}AND edge.is_error = {error:Bool}{% endif %}
    {% if min_duration_ns %}AND place.duration_ns >= {min_duration_ns:Int64}{% endif %}
    {% if max_duration_ns %}AND place.duration_ns <= {max_duration_ns:Int64}{% endif %}
    {% if received_since_ns %}AND received_ns > {received_since_ns:Int64}{% endif %}
    {% if text %}
    AND (multiSearchAnyCaseInsensitiveUTF8(edge.path, {spellings:Array(String)})
        OR positionCaseInsensitiveUTF8(edge.route, {text:String}) > 0
        OR positionCaseInsensitiveUTF8(edge.name, {text:String}) > 0
        {% if id_prefix %}
        OR startsWith(trace_id, {id_prefix:String})
        OR startsWith(edge.request_key, {request_prefix:String})
        {% endif %})
    {% endif %}
    {% if thorough_service %}AND cityHash64(trace_id) GLOBAL IN ({{ traces_of_service() }}){% endif %}
    {% if thorough_unclaimed %}AND NOT {{ trace_is_recorded() }}{% endif %}
    {% if after %}AND (value, edge_start_ns) <= ({after_value:Int64}, {after_start_ns:Int64}){% endif %}
ORDER BY value DESC, edge_start_ns DESC
LIMIT {limit:UInt32}
    {% if with_ties %}WITH TIES{% endif %}
