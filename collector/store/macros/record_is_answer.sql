-- Whether a record's duration is the time of an answer, not the life of a connection.
kind != 'websocket' AND NOT has(quality, 'STREAMING')
