"""
Where a request is found: the address that the API serves and every client asks.
"""

import urllib.parse

REQUESTS = "/api/v1/requests/"


def request_path(request_id: str, suffix: str = "") -> str:
    """Return the path of one request, its id escaped."""
    return f"{REQUESTS}{urllib.parse.quote(request_id, safe='')}{suffix}"
