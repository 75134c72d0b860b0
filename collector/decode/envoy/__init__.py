"""
Envoy's access logs and response flags, whichever way they come.
"""
