"""
Attribute names that Hopline writes itself: what a decoder notes for the rules that stitch.

In: nothing. Out: names. They stand below both rooms, so that neither has to know the other. The
names are stored with the data: they cannot change.
"""

SENT_END = "hopline.sent_end_time_unix_nano"
"""The end that was sent of a span whose end was set to its start."""

SHARED_ID = "zipkin.shared_id"
"""The id under which a server's half of a span was sent that shares its client's id."""

REQUEST_KEY = "app_insights.request"
"""What the rows of one request in Application Insights have in common."""
