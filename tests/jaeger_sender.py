"""
Sends spans with the real jaeger-client library; run as a program of its own.

`python -m tests.jaeger_sender PORT COUNT`: COUNT requests of a client and a server span each to the
agent's compact port; prints their trace ids. A process apart, because the library leaves sockets
and threads behind.
"""

import sys
import time

from jaeger_client.config import Config
from opentracing.ext import tags


def main(port: int, count: int) -> None:
    """Report *count* pairs of spans and wait until they are sent."""
    config = Config(
        config={
            "sampler": {"type": "const", "param": 1},
            "local_agent": {"reporting_host": "127.0.0.1", "reporting_port": port},
            "reporter_batch_size": 4,
            "reporter_flush_interval": 0.05,
            "reporter_queue_size": 10_000,
            "generate_128bit_trace_id": True,
            "tags": {"region": "north"},
        },
        service_name="legacy-cart",
        validate=True,
    )
    tracer = config.new_tracer()
    for number in range(count):
        with (
            tracer.start_active_span("GET /cart", tags={tags.SPAN_KIND: "server"}),
            tracer.start_active_span("call stock", tags={tags.SPAN_KIND: "client"}) as scope,
        ):
            scope.span.set_tag(tags.HTTP_STATUS_CODE, 200 if number % 2 else 503)
            scope.span.set_tag("number", number)
            sys.stdout.write(f"{scope.span.trace_id:032x}\n")
            scope.span.log_kv({"event": "retry", "attempt": 2})
    closed = tracer.close()
    deadline = time.monotonic() + 60
    while not closed.done() and time.monotonic() < deadline:
        time.sleep(0.02)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
