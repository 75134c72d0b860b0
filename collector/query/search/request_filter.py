"""
What was asked for, as the store looks for it.
"""

from collector.identity import ids
from collector.query.search.filters import Search
from collector.store import RequestFilter


def build_filter(search: Search, start_ns: int, end_ns: int) -> RequestFilter:
    """Return what the store looks for, in a range of its own."""
    return RequestFilter(
        start_ns=start_ns,
        end_ns=end_ns,
        gateway=search.gateway,
        api=search.api,
        operation=search.operation,
        route=search.route,
        method=search.method,
        host=search.host,
        status=search.status,
        status_class=search.status_class,
        is_error=search.is_error,
        service=search.service,
        consumer=search.consumer,
        revision=search.revision,
        min_duration_ns=search.min_duration_ns,
        max_duration_ns=search.max_duration_ns,
        is_joined=search.is_joined,
        text=search.q,
        id_prefix=ids.prefix_key(search.q),
        with_logged=True,
        order="-start" if search.order == "-start" else "-duration",
    )
