// One span in full: its values are asked for when it is opened.

import { link } from "../address.js";
import { useAnswer } from "../ask.js";
import { html } from "../html.js";
import { Copy } from "../parts/copy.js";
import { Failed, Loading, Nothing } from "../parts/states.js";
import { Values } from "../parts/values.js";
import { useZone } from "../shell.js";
import { Text, clock, duration, durationMs, percent } from "../text.js";
import { Section } from "./section.js";

/**
 * @param {{trace: import("./model.js").Trace, id: string, asOf: string, raw: string, span: string, row: number,
 *   select: (row: number) => void}} props
 */
export function SpanDetails({ trace, id, asOf, raw, span, row, select }) {
  const { data, failure, again } = useAnswer(row >= 0 ? "api/page/span" : null,
    { id, as_of: asOf, raw, span: trace.ids[row] });
  const zone = useZone();
  if (row < 0) {
    return html`<${Nothing} title=${span ? "This span is not in the request" : "No row is selected"}>
      <p class="quiet">Click a row, or go through them with the arrow keys.</p><//>`;
  }
  const parent = trace.parents[row];
  const facts = trace.hopFacts[trace.hops[row]];
  return html`<div class=${"span-head layer-" + trace.layers[row]}>
      <p><span class="role">${trace.roles[row].replace("_", " ")}</span> <strong><${Text}>${trace.services[row]}<//></strong></p>
      <p class="span-name"><${Text}>${trace.names[row]}<//></p></div>
    <dl class="measures">
      <div><dt>Took</dt><dd>${duration(trace.durations[row])}</dd></div>
      <div><dt>Began</dt><dd>${duration(trace.starts[row])}</dd></div>
      <div><dt>Own time</dt><dd>${duration(trace.selves[row])}</dd></div>
      <div><dt>Held up</dt><dd>${duration(trace.critical.get(row) || 0)} <span class="quiet">${percent(trace.share(row))}</span></dd></div>
    </dl>
    <p class="quiet row">${parent >= 0 ? html`called by <button type="button" class="plain" onClick=${() => select(parent)}><${Text}>${trace.services[parent]}<//></button>` : "the outermost"}
      ${facts && facts.attempts > 1 ? html` · try ${facts.attempt} of ${facts.attempts}` : ""}</p>
    ${facts && facts.notes.map((note) => html`<p class="note"><${Text}>${note}<//></p>`)}
    ${failure && html`<${Failed} failure=${failure} again=${again} />`}
    ${!data && !failure && html`<${Loading} what="Reading the span …" />`}
    ${data && html`<${Told} data=${data} trace=${trace} zone=${zone} />`}`;
}

/** @param {{data: any, trace: import("./model.js").Trace, zone: import("../text.js").Zone}} props */
function Told({ data, trace, zone }) {
  const record = trace.request.gateway_records.find((/** @type {any} */ each) => each.span_id === data.span_id);
  const exceptions = (data.events || []).filter((/** @type {any} */ event) => event.name === "exception" || event.attributes["exception.stacktrace"]);
  const events = (data.events || []).filter((/** @type {any} */ event) => !exceptions.includes(event));
  const isEmpty = Object.keys(data.attributes).length === 0;
  return html`
    ${data.status === "error" && html`<p class="note is-bad"><strong>Failed.</strong> <${Text}>${data.status_message}<//></p>`}
    ${data.adjusted_by_ms !== 0 && html`<p class="note"><strong>Moved by ${signed(data.adjusted_by_ms)}</strong>${data.adjusted_bound_ms ? ` ± ${durationMs(data.adjusted_bound_ms)}` : ""}: <${Text}>${data.adjusted_reason}<//>.
      Sent as ${clock(data.raw_start, zone)}.</p>`}
    ${data.flags.length > 0 && html`<p class="note">${data.flags.join(", ")}</p>`}
    ${exceptions.length > 0 && html`<${Section} title="Exceptions" count=${exceptions.length}>${exceptions.map((/** @type {any} */ event) => html`<${Exception} event=${event} />`)}<//>`}
    ${record && html`<p class="quiet">This row is the gateway's record: its fields are under <em>Gateway record</em>.</p>`}
    ${!isEmpty && html`<${Section} title="Attributes" count=${Object.keys(data.attributes).length}><${Values} values=${data.attributes} label="Attributes" /><//>`}
    ${events.length > 0 && html`<${Section} title="Events" count=${events.length}>${events.map((/** @type {any} */ event) => html`<div class="event">
      <p><span class="mono">${signed(event.after_ms)}</span> <strong><${Text}>${event.name}<//></strong></p>
      <${Values} values=${event.attributes} label="Attributes of the event" /></div>`)}<//>`}
    ${data.logs.length > 0 && html`<${Section} title="Log lines" count=${data.logs.length}>${data.logs.map((/** @type {any} */ log) => html`<div class="event">
      <p class="quiet mono">${clock(log.time, zone)} <${Text}>${log.severity}<//></p>
      <pre class="block"><${Text}>${log.body.trimEnd()}<//></pre>
      ${Object.keys(log.attributes).length > 0 && html`<details><summary>fields</summary><${Values} values=${log.attributes} label="Fields of the log line" /></details>`}</div>`)}<//>`}
    ${data.links && data.links.length > 0 && html`<${Section} title="Links" count=${data.links.length}>${data.links.map((/** @type {any} */ each) => html`<p class="mono">
      <a href=${link("request", { id: each.trace_id, span: each.span_id, panel: "span" })}>${each.trace_id}/${each.span_id}</a></p>
      <${Values} values=${each.attributes} label="Attributes of the link" />`)}<//>`}
    ${data.resource && html`<${Section} title="Resource" count=${Object.keys(data.resource).length}><${Values} values=${data.resource} label="Resource" /><//>`}
    <${Section} title="Identity" isOpen=${false}><${Values} label="Identity" values=${{
      "span id": data.raw_span_id || data.span_id,
      "parent span id": data.raw_parent_span_id,
      "trace id": data.trace_id,
      kind: data.kind,
      host: data.host,
      scope: data.scope || "",
      "trace state": data.trace_state || "",
      "sent start": data.raw_start,
      received: data.received || "",
    }} /><//>`;
}

/** @param {{event: any}} props */
function Exception({ event }) {
  const { attributes } = event;
  const stack = attributes["exception.stacktrace"] || "";
  const rest = Object.fromEntries(Object.entries(attributes).filter(([name]) => !/^exception\.(type|message|stacktrace)$/.test(name)));
  return html`<div class="event">
    <p><span class="mono">${signed(event.after_ms)}</span> <strong class="bad"><${Text}>${attributes["exception.type"] || event.name}<//></strong></p>
    <p><${Text}>${attributes["exception.message"] || ""}<//></p>
    ${stack && html`<div class="stack"><pre class="block">${stack.split("\n").map((/** @type {string} */ line) => html`<${Text}>${line}<//>${"\n"}`)}</pre>
      <${Copy} text=${() => stack} label="Copy the stack" class="button bare" isBare=${true} /></div>`}
    ${Object.keys(rest).length > 0 && html`<${Values} values=${rest} label="Attributes of the exception" />`}</div>`;
}

/** @param {number} ms */
function signed(ms) {
  return (ms > 0 ? "+" : "") + durationMs(ms).replace("-", "−");
}
