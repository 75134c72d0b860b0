-- How many rows of records and of traces a range has, to know how dense a sample has to be.
{% from "macros/requests.sql" import five_minutes %}
SELECT
    (SELECT count() FROM {database:Identifier}.gateway_record
     WHERE bucket >= {{ five_minutes("{start_ns:Int64}") }} AND bucket <= {{ five_minutes("{end_ns:Int64}") }}
        AND ({api:String} = '' OR api = {api:String})) AS records,
    (SELECT count() FROM {database:Identifier}.trace_summary
     WHERE bucket >= {{ five_minutes("{start_ns:Int64}") }} AND bucket <= {{ five_minutes("{end_ns:Int64}") }}) AS traces
