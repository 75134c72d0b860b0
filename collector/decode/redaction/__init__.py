"""
Secrets masked before the disk. Read first: `redactor.py`.
"""
