-- How many rows the access logs of a range may take part in: none for who sends none.
{% from "macros/requests.sql" import around %}
SELECT count() FROM {database:Identifier}.logged_request WHERE {{ around("bucket") }}
