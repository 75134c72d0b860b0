-- How gateway records of a range write a name that was asked for without regard to case, the most frequent way first;
-- with `exact` whether it is there as it was asked for, which ends at the first row that has it.
{% from "macros/requests.sql" import five_minutes %}
{% set field = "api" if api else "operation" if operation else "consumer" if consumer else "gateway" if gateway else "" %}
SELECT {% if exact %}{asked:String}{% else %}toString({{ field }}){% endif %} AS name
FROM {database:Identifier}.gateway_record
WHERE bucket >= {{ five_minutes("{start_ns:Int64}") }} AND bucket <= {{ five_minutes("{end_ns:Int64}") }}
    AND start_ns >= {start_ns:Int64} AND start_ns < {end_ns:Int64}
    {% if exact %}
    AND {{ field }} = {asked:String}
ORDER BY name
LIMIT 1
    {% else %}
    AND lowerUTF8({{ field }}) = lowerUTF8({asked:String})
GROUP BY name
ORDER BY count() DESC, name
LIMIT 4
    {% endif %}
