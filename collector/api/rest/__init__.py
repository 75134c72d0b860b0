"""
REST v1: paths, models, OpenAPI, and timelines as JSON. Read first: `app.py`.
"""
