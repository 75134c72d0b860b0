"""
Rows of Azure's log tables, and what API Management logs beside its gateway log.
"""
