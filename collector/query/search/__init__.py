"""
Lists of requests: parameters, rows, cursors. Read first: `search.py`.
"""
