"""
Which gateway record belongs to which spans: by ids, by likelihood; the root of the request.

Read first: `by_id.py`.
"""
