"""
One request: from any id to what is stored about it, stitched, told in sentences.

Read first: `resolve.py`, then `stitching.py`.
"""
