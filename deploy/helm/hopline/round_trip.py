"""Send one span and read its timeline back within a minute."""

import json
import os
import secrets
import sys
import time
import urllib.error
import urllib.request


def ask(url: str, token: str, body: bytes | None = None) -> bytes:
    """Send a request with a token; return the body of the answer."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(url, body, headers)
    with urllib.request.urlopen(request, timeout=10) as response:
        return bytes(response.read())


ingest_token = os.environ["HOPLINE_INGEST_TOKENS"].split(",")[0]
query_token = os.environ["HOPLINE_QUERY_TOKENS"].split(",")[0]
trace_id, now_ns = secrets.token_hex(16), time.time_ns()
span = {
    "traceId": trace_id,
    "spanId": secrets.token_hex(8),
    "name": "GET /helm-test",
    "kind": 2,
    "startTimeUnixNano": str(now_ns - 1_000_000),
    "endTimeUnixNano": str(now_ns),
}
name = {"key": "service.name", "value": {"stringValue": "helm-test"}}
sent = {"resourceSpans": [{"resource": {"attributes": [name]}, "scopeSpans": [{"spans": [span]}]}]}
ask(os.environ["INGEST"] + "/v1/traces", ingest_token, json.dumps(sent).encode())
deadline = time.monotonic() + 60
while time.monotonic() < deadline:
    try:
        ask(f"{os.environ['QUERY']}/api/v1/requests/{trace_id}", query_token)
    except urllib.error.HTTPError as error:
        print(f"not yet: {error.code}", flush=True)
        time.sleep(1)
    else:
        sys.exit(0)
sys.exit(f"trace {trace_id} was taken, and cannot be read")
