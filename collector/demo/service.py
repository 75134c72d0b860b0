"""
The demo's applications: small HTTP services with the real OpenTelemetry SDK in them.

Several run in one process to save memory; each has its own tracer provider, resource and exporter,
so that telemetry looks as if each had a process. `python -m collector.demo.service plan.json` runs
the applications of one mesh and prints `ready` once all of them listen.
"""

import asyncio
import json
import random
import signal
import sys
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from collector.demo.b3 import B3Propagator
from collector.demo.topology import (
    SERVICE_PORT,
    Call,
    Endpoint,
    Instrumentation,
    Query,
    Step,
    Together,
    Work,
    endpoint_from_json,
)

_TRACE_HEADERS = (
    "traceparent",
    "tracestate",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
)
_REMEMBERED_REQUESTS = 10_000
_PROPAGATORS: dict[str, list[TextMapPropagator]] = {
    "w3c": [TraceContextTextMapPropagator()],
    "b3": [B3Propagator(is_single=True)],
    "b3-multi": [B3Propagator(is_single=False)],
    "w3c+b3": [B3Propagator(is_single=False), TraceContextTextMapPropagator()],
}


class StepError(Exception):
    """A call did not answer, or answered with an error that is not tolerated."""


@dataclass(frozen=True, slots=True)
class ServicePlan:
    """What one application needs to know. `bases` are the URLs of the services it calls."""

    name: str
    namespace: str
    revision: str
    pod: str
    port: int
    endpoints: tuple[Endpoint, ...]
    bases: Mapping[str, str]
    instrumentation: Instrumentation
    propagation: str
    otlp_endpoint: str  # "" exports nothing
    is_otlp_http: bool

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> "ServicePlan":
        """Read one entry of a plan file."""
        endpoints = tuple(endpoint_from_json(part) for part in value["endpoints"])
        return ServicePlan(**{**value, "endpoints": endpoints})


class Application:
    """One service: a server, a client, a tracer."""

    def __init__(self, plan: ServicePlan, client: aiohttp.ClientSession) -> None:
        self._plan = plan
        self._client = client
        self._propagator = CompositePropagator(_PROPAGATORS[plan.propagation])
        self._provider = _build_provider(plan)
        self._tracer = self._provider.get_tracer("collector.demo.service")
        self._failures: OrderedDict[str, int] = OrderedDict()
        self._put_off: set[asyncio.Task[None]] = set()
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen on the planned port."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, keepalive_timeout=3600)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._plan.port, reuse_port=_CAN_REUSE_PORT)
        await site.start()

    async def stop(self) -> None:
        """Stop listening and export what is left."""
        if self._runner is not None:
            await self._runner.cleanup()
        await asyncio.to_thread(self._provider.shutdown)

    async def _handle(self, request: web.Request) -> web.Response:
        endpoint = next(
            (part for part in self._plan.endpoints if request.path.startswith(part.prefix)), None
        )
        if endpoint is None:
            return web.json_response({"error": f"no endpoint {request.path}"}, status=404)
        headers = {name.lower(): value for name, value in request.headers.items()}
        forwarded = {"x-request-id": headers["x-request-id"]} if "x-request-id" in headers else {}
        if self._plan.instrumentation == "sdk":
            return await self._handle_traced(request, endpoint, headers, forwarded)
        if self._plan.instrumentation == "headers":
            forwarded |= {name: headers[name] for name in _TRACE_HEADERS if name in headers}
        else:
            forwarded = {}
        return _respond(*await self._work(endpoint, forwarded))

    async def _handle_traced(
        self,
        request: web.Request,
        endpoint: Endpoint,
        headers: Mapping[str, str],
        forwarded: dict[str, str],
    ) -> web.Response:
        attributes: dict[str, AttributeValue] = {
            "http.request.method": request.method,
            "url.path": request.path,
            "http.route": endpoint.prefix,
            "url.scheme": "http",
            "server.address": self._plan.name,
            "server.port": SERVICE_PORT,
        }
        with self._tracer.start_as_current_span(
            f"{request.method} {endpoint.prefix}",
            context=self._propagator.extract(headers, Context()),
            kind=SpanKind.SERVER,
            attributes=attributes,
        ) as span:
            status, problem = await self._work(endpoint, forwarded)
            span.set_attribute("http.response.status_code", status)
            if endpoint.grpc_status:
                span.set_attribute("rpc.system", "grpc")
                span.set_attribute("rpc.grpc.status_code", endpoint.grpc_status)
            elif status >= 500:
                span.set_status(Status(StatusCode.ERROR, problem))
                span.set_attribute("error.type", str(status))
            return _respond(status, problem)

    async def _work(self, endpoint: Endpoint, forwarded: Mapping[str, str]) -> tuple[int, str]:
        """Do what the endpoint says; return the status and what went wrong."""
        if self._has_to_fail(endpoint, forwarded):
            await asyncio.sleep(0.002)
            return 503, "not ready yet"
        try:
            for step in endpoint.steps:
                await self._do(step, forwarded)
        except StepError as exc:
            return 502, str(exc)
        return endpoint.status, "" if endpoint.status < 500 else "failed on purpose"

    def _has_to_fail(self, endpoint: Endpoint, forwarded: Mapping[str, str]) -> bool:
        if endpoint.fail_percent and random.random() * 100 < endpoint.fail_percent:
            return True
        if not endpoint.fail_first:
            return False
        span = trace.get_current_span().get_span_context()
        key = f"{span.trace_id:032x}" if span.is_valid else forwarded.get("x-request-id", "")
        failed = self._failures.get(key, 0)
        if failed >= endpoint.fail_first:
            return False
        self._failures[key] = failed + 1
        if len(self._failures) > _REMEMBERED_REQUESTS:
            self._failures.popitem(last=False)
        return True

    async def _do(self, step: Step, forwarded: Mapping[str, str]) -> None:
        match step:
            case Work():
                inner = self._tracer.start_as_current_span(step.span) if step.span else None
                with inner or nullcontext():
                    await asyncio.sleep(step.duration_ms / 1000)
            case Query():
                await self._query(step)
            case Call():
                if step.is_put_off:
                    task = asyncio.create_task(self._call(step, forwarded))
                    self._put_off.add(task)
                    task.add_done_callback(self._put_off.discard)
                else:
                    await self._call(step, forwarded)
            case Together():
                await asyncio.gather(*(self._do(part, forwarded) for part in step.steps))

    async def _query(self, query: Query) -> None:
        attributes: dict[str, AttributeValue] = {
            "db.system.name": query.system,
            "db.namespace": query.database,
            "db.query.text": query.statement,
            "server.address": f"{query.system}.{self._plan.namespace}",
            "server.port": 5432,
        }
        name = f"{query.statement.split()[0]} {query.database}"
        with self._tracer.start_as_current_span(name, kind=SpanKind.CLIENT, attributes=attributes):
            await asyncio.sleep(query.duration_ms / 1000)

    async def _call(self, call: Call, forwarded: Mapping[str, str]) -> None:
        headers = {**forwarded, "Host": f"{call.to}:{SERVICE_PORT}"}
        if self._plan.instrumentation != "sdk":
            status = await self._send(call, headers)
        else:
            attributes: dict[str, AttributeValue] = {
                "http.request.method": "GET",
                "url.full": f"http://{call.to}:{SERVICE_PORT}{call.path}",
                "server.address": call.to,
                "server.port": SERVICE_PORT,
            }
            with self._tracer.start_as_current_span(
                "GET", kind=SpanKind.CLIENT, attributes=attributes
            ) as span:
                self._propagator.inject(headers)
                status = await self._send(call, headers)
                if status and not call.is_silent:
                    span.set_attribute("http.response.status_code", status)
                if (status == 0 or status >= 400) and not call.is_silent:
                    span.set_status(Status(StatusCode.ERROR))
                    span.set_attribute("error.type", str(status) if status else "timeout")
        is_harmless = call.is_failure_tolerated or call.is_put_off
        if (status == 0 or status >= 500) and not is_harmless:
            raise StepError(f"{call.to} answered {status or 'nothing'}")

    async def _send(self, call: Call, headers: Mapping[str, str]) -> int:
        """Send the request and read the whole answer; 0 means that there was none in time."""
        timeout = aiohttp.ClientTimeout(total=call.timeout_ms / 1000)
        url = self._plan.bases[call.to] + call.path
        try:
            async with self._client.get(url, headers=headers, timeout=timeout) as response:
                await response.read()
                return response.status
        except (TimeoutError, aiohttp.ClientError):
            return 0


_CAN_REUSE_PORT = sys.platform == "linux"


def _respond(status: int, problem: str) -> web.Response:
    body = {"error": problem} if problem else {"ok": True, "at": time.time_ns()}
    return web.json_response(body, status=status)


def _build_provider(plan: ServicePlan) -> TracerProvider:
    resource = Resource.create(
        {
            "service.name": plan.name,
            "service.namespace": plan.namespace,
            "service.version": plan.revision,
            "service.instance.id": plan.pod,
            "host.name": plan.pod,
            "k8s.pod.name": plan.pod,
            "k8s.namespace.name": plan.namespace,
            "k8s.deployment.name": f"{plan.name}-{plan.revision}",
        }
    )
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    if plan.otlp_endpoint and plan.instrumentation == "sdk":
        processor = BatchSpanProcessor(
            _build_exporter(plan), schedule_delay_millis=300, max_export_batch_size=128
        )
        provider.add_span_processor(processor)
    return provider


def _build_exporter(plan: ServicePlan) -> SpanExporter:
    if plan.is_otlp_http:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (
            OTLPSpanExporter as HttpExporter,
        )

        return HttpExporter(endpoint=f"{plan.otlp_endpoint}/v1/traces", timeout=5)
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (
        OTLPSpanExporter as GrpcExporter,
    )

    return GrpcExporter(endpoint=plan.otlp_endpoint, insecure=True, timeout=5)


async def run(plans: Sequence[ServicePlan]) -> None:
    """Run all applications until SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=3600)
    async with aiohttp.ClientSession(connector=connector) as client:
        applications = [Application(plan, client) for plan in plans]
        for application in applications:
            await application.start()
        print("ready", flush=True)
        await stopped.wait()
        await asyncio.gather(*(application.stop() for application in applications))


def main() -> None:
    """Run the applications of the plan file named on the command line."""
    values = json.loads(Path(sys.argv[1]).read_text())
    asyncio.run(run([ServicePlan.from_json(value) for value in values]))


if __name__ == "__main__":
    main()
