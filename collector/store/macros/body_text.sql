-- $1: the bytes of a log record's body. Structured bodies are lists, so flat ones become JSON here.
arrayMap(
    json -> if(json = '', {{attribute_text:$1}}, json),
    [if((startsWith($1, '*') OR startsWith($1, '2')) AND length($1) <= 16384, {{list_json:$1}}, '')])[1]
