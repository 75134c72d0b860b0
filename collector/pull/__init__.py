"""
Sources that Hopline asks instead of being told: Log Analytics, Event Hubs, local logs over UDP.

In: answers of a source since the last watermark. Out: gateway records handed to a `RecordSink`
(intake, which journals them); only then the watermark or the offset moves on. Where a watermark is
kept and who may move it on is a `ProgressStore`'s affair, which whoever runs the pollers may give.
May import: `decode`, `telemetry`, `config`, `clock`, `errors`, `model`. Never: SQL, another door.
Read first: `azure_monitor.py`, then `watermarks.py`.
"""
