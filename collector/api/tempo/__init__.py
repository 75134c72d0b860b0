"""
Tempo's query API over the same questions: Grafana's Tempo data source and Kiali ask here.

In: HTTP requests below `/tempo`. Out: traces, searches by TraceQL's common part, names of
attributes. What of TraceQL is not understood is refused by name. Read first: `routes.py`, then
`traceql.py`.
"""
