"""
Spans to trees: nodes, roles, parents, siblings, hops. Read first: `forest.py`.
"""
