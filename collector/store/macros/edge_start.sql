-- $1: `edge` or `place` of a trace summary. When the edge span started.
$1.rank % 4000000000000000000
