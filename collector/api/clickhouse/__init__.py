"""
ClickHouse's HTTP interface, to read only: Grafana's data source and other clients ask here.

In: HTTP requests with a statement. Out: the engine's answer in the format that was asked for, or
ClickHouse's text of an error. May import: `store`, `http`, `config`, `errors`. Never: a statement
that was not judged. Read first: `server.py`, then `rules.py`.
"""
