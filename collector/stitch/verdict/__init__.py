"""
Who failed first, and what each layer did about it. Read first: `first_failure.py`.
"""
