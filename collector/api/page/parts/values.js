// Small values that look alike everywhere: a status, a state, a copyable table of names and values.

import { link } from "../address.js";
import { html, useState } from "../html.js";
import { Text, count } from "../text.js";
import { Copy } from "./copy.js";
import { Icon } from "./icons.js";

/** @param {{status: number | null, isError?: boolean}} props */
export function Status({ status, isError = false }) {
  if (status === null || status === undefined) return html`<span class=${"status" + (isError ? " is-bad" : "")}>${isError ? "failed" : "no status"}</span>`;
  const kind = isError || status >= 500 ? "is-bad" : status >= 400 ? "is-warn" : "is-good";
  return html`<span class=${"status " + kind}>${status}</span>`;
}

const STATES = /** @type {Record<string, string>} */ ({
  provisional: "More is expected: the answer may still change",
  complete: "All that was expected is here; something late could still change it",
  final: "Nothing more can come",
});

/** @param {{state: string}} props */
export function StateBadge({ state }) {
  return html`<span class=${"badge state-" + state} title=${STATES[state] || ""}>${state}</span>`;
}

/** Parameters of the search that a name in a span or record stands for. */
const FILTERS = /** @type {Record<string, string>} */ ({
  gateway: "gateway", api: "api", operation: "operation", route: "route", method: "method", host: "host",
  status: "status", consumer: "consumer", api_revision: "revision", "service.name": "service",
  "http.request.method": "method", "http.method": "method", "http.response.status_code": "status",
  "http.status_code": "status", "url.path": "q", path: "q", "guid:x-request-id": "q", record_id: "q",
  operation_id: "q", error_reason: "q", trace_id: "q", "error.type": "q",
});
const FOLDED = 400;

/**
 * Names and values: each can be copied, and those that the search knows can be filtered by.
 * @param {{values: Record<string, unknown>, label: string}} props
 */
export function Values({ values, label }) {
  const entries = Object.entries(values);
  return html`<table class="values" aria-label=${label}><tbody>
    ${entries.map(([name, value]) => html`<${Value} key=${name} name=${name} value=${value} />`)}</tbody></table>`;
}

/** @param {{name: string, value: unknown}} props */
function Value({ name, value }) {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  const [isOpen, setOpen] = useState(false);
  const isLong = text.length > FOLDED;
  const filter = Object.hasOwn(FILTERS, name) ? FILTERS[name] : "";
  return html`<tr><th scope="row"><${Text}>${name}<//></th>
    <td><${Text} class="mono">${isLong && !isOpen ? text.slice(0, FOLDED) : text}<//>
      ${isLong && html`<button type="button" class="plain" onClick=${() => setOpen(!isOpen)}>${isOpen ? " less" : ` … all ${count(text.length)} characters`}</button>`}</td>
    <td class="values-acts">${filter && text && html`<a class="button bare" href=${link("requests", { [filter]: text })} title="Requests with this value" aria-label=${"Requests with this " + name}>
        <${Icon} name="filter" /></a>`}
      <${Copy} text=${() => text} label=${"Copy " + name} class="button bare" isBare=${true} /></td></tr>`;
}
