"""
Jaeger's query API over the same questions. Read first: `routes.py`.
"""
