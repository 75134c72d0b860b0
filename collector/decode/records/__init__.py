"""
Gateway records: their journal form, and records made from the spans of a gateway.

Read first: `codec.py`.
"""
