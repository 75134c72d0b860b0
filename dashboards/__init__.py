"""
Grafana dashboards, made by Grafana's own SDK.

In: nothing. Out: one JSON file each, beside this one. `python -m dashboards` writes them. A
dashboard is a module with `build()`; what they have in common is in `parts.py`.
"""
