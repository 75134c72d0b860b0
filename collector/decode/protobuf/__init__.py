"""
Protobuf bytes taken apart without building their objects. Read first: `split.py`.
"""
