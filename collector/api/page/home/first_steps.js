// What an empty store shows: how to send the first span and the first record, with the real ports.

import { link } from "../address.js";
import { now, useAnswer } from "../ask.js";
import { html, useMemo } from "../html.js";
import { hostName, ingestAddress, tokenHeader } from "../parts/command.js";
import { Copy } from "../parts/copy.js";
import { Text } from "../text.js";

/** @param {number} bytes */
function hex(bytes) {
  return Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function FirstSteps() {
  const { data } = useAnswer("api/page/doors");
  const trace = useMemo(() => ({ id: hex(16), outgoing: hex(8), span: hex(8) }), []);
  if (!data) return null;
  const ingest = ingestAddress(data);
  const token = tokenHeader(data);
  if (!ingest) {
    return html`<section class="card step is-drawn"><h2>Nothing is sent to this process</h2>
      <p>It answers questions. Spans and records go to the one that runs with <code>--role ingest</code>; its door for OTLP over HTTP and for gateways is <code>HOPLINE_INGEST_PORT</code>.</p>
      <p class="quiet">This page fills itself as soon as something arrives there.</p></section>`;
  }
  return html`<p class="quiet">This page fills itself as soon as something arrives.</p>
    <div class="steps">
      <${Step} number="1" title="Send a span" text=${() => sendSpan(ingest, token, trace)} shown=${sendSpan(ingest, token, trace)}>
        <p>Any OpenTelemetry exporter will do: OTLP over HTTP to <code>${ingest}</code>${data.otlp_grpc_port ? html`, over gRPC to <code>${hostName()}:${data.otlp_grpc_port}</code>` : ""}. By hand:</p><//>
      <${Step} number="2" title="Send the gateway's record of the same request" text=${() => sendRecord(ingest, token, trace)} shown=${sendRecord(ingest, token, trace)}>
        <p>Kong's <code>http-log</code> plugin posts to <code>${ingest}/v1/gateway/kong</code>; other gateways: ${data.adapters.map((/** @type {string} */ name, /** @type {number} */ index) => html`${index ? ", " : ""}<code>${name}</code>`)}.</p><//>
      <section class="card step"><h2><span class="step-number">3</span>See them as one</h2>
        <p>The record carries the span's trace id, so both become one timeline: <a href=${link("request", { id: trace.id })} class="mono"><${Text}>${trace.id}<//></a></p>
        <p class="quiet">No traffic at hand? <code>hopline demo</code> starts a small shop with a mesh and a gateway.</p></section>
    </div>`;
}

/** @param {{number: string, title: string, text: () => string, shown: string, children?: any}} props */
function Step({ number, title, text, shown, children }) {
  return html`<section class="card step is-drawn"><h2><span class="step-number">${number}</span>${title}</h2>${children}
    <div class="stack"><pre class="block" tabindex="0" aria-label=${title}>${shown}</pre><${Copy} text=${text} label=${"Copy: " + title} class="button bare" isBare=${true} /></div></section>`;
}

/** @typedef {{id: string, outgoing: string, span: string}} Ids */

/** @param {string} ingest @param {string} token @param {Ids} trace */
function sendSpan(ingest, token, trace) {
  const end = now() * 1_000_000;
  const span = {
    traceId: trace.id, spanId: trace.span, parentSpanId: trace.outgoing, name: "GET /hello", kind: 2,
    startTimeUnixNano: String(BigInt(end) - 80_000_000n), endTimeUnixNano: String(BigInt(end) - 5_000_000n),
  };
  const body = { resourceSpans: [{ resource: { attributes: [{ key: "service.name", value: { stringValue: "hello" } }] }, scopeSpans: [{ spans: [span] }] }] };
  return `curl ${ingest}/v1/traces -H "Content-Type: application/json"${token} -d '${JSON.stringify(body)}'`;
}

/** @param {string} ingest @param {string} token @param {Ids} trace */
function sendRecord(ingest, token, trace) {
  const entry = {
    started_at: now() - 85, latencies: { request: 90, kong: 5, proxy: 80 },
    request: { id: hex(16), method: "GET", uri: "/hello", headers: { host: "api.example", traceparent: `00-${trace.id}-${trace.outgoing}-01` } },
    response: { status: 200 }, upstream_uri: "/hello", service: { name: "hello", host: "hello.svc" }, route: { name: "hello" },
  };
  return `curl ${ingest}/v1/gateway/kong -H "Content-Type: application/json"${token} -d '${JSON.stringify(entry)}'`;
}
