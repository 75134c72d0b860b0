"""As much of the Kubernetes API as a collector's k8s_attributes processor asks for."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

_OWNER = {"apiVersion": "apps/v1", "controller": True}
_POD = {
    "metadata": {
        "name": "storefront-7d9c5b6f8-x2x4q",
        "namespace": "shop",
        "uid": "6b1f0b8e-54ab-4c0e-9c56-0c9d1d7a3e55",
        "resourceVersion": "1",
        "labels": {"pod-template-hash": "7d9c5b6f8"},
        "ownerReferences": [
            {**_OWNER, "kind": "ReplicaSet", "name": "storefront-7d9c5b6f8", "uid": "r-1"}
        ],
    },
    "spec": {"nodeName": "node-1", "containers": [{"name": "app", "image": "storefront:1"}]},
    "status": {"podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}], "phase": "Running"},
}
_LISTS: dict[str, tuple[str, str, list[Any]]] = {
    "pods": ("v1", "PodList", [_POD]),
    "namespaces": ("v1", "NamespaceList", []),
}


def _initial_events(version: str, kind: str, items: list[Any]) -> Iterator[dict[str, Any]]:
    """Yield what is there as a streaming list does: every object, then that these were all."""
    named = {"apiVersion": version, "kind": kind}
    for item in items:
        yield {"type": "ADDED", "object": {**named, **item}}
    end = {"resourceVersion": "1", "annotations": {"k8s.io/initial-events-end": "true"}}
    yield {"type": "BOOKMARK", "object": {**named, "metadata": end}}


@contextmanager
def kubernetes_api() -> Iterator[str]:
    """Serve until the block is left; yield the address."""
    stopping = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            version, kind, items = _LISTS[url.path.rpartition("/")[2]]
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            asked = parse_qs(url.query)
            if "watch" in asked:
                if "sendInitialEvents" in asked:
                    for event in _initial_events(version, kind.removesuffix("List"), items):
                        self.wfile.write(json.dumps(event).encode() + b"\n")
                stopping.wait(60)  # nothing changes afterwards
                return
            body = {"apiVersion": version, "kind": kind, "items": items}
            self.wfile.write(json.dumps({**body, "metadata": {"resourceVersion": "1"}}).encode())

        def log_message(self, format: str, *arguments: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        stopping.set()
        server.shutdown()
        thread.join()
        server.server_close()
