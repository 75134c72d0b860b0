// The list of requests: one line each, the time as a bar that compares.

import { change, link, open } from "../address.js";
import { html } from "../html.js";
import { Icon } from "../parts/icons.js";
import { StateBadge, Status } from "../parts/values.js";
import { useZone } from "../shell.js";
import { Text, clock, count, durationMs, plain } from "../text.js";

/** @param {any} row */
export function nameOf(row) {
  return [row.method, row.route || row.operation].filter(Boolean).join(" ") || row.id;
}

/** @param {{rows: any[], order: string}} props */
export function Rows({ rows, order }) {
  const zone = useZone();
  const longest = Math.max(1, ...rows.map((row) => row.duration_ms || 0));
  const sort = (/** @type {string} */ value) => change({ order: value === "-duration" ? "" : value, cursor: "" }, { step: true });
  const heading = (/** @type {string} */ value, /** @type {string} */ label) => html`<button type="button" class="sort" aria-pressed=${order === value}
    onClick=${() => sort(value)}>${label}${order === value && html`<${Icon} name="down" />`}</button>`;
  const onKey = (/** @type {KeyboardEvent} */ event) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!by || !(event.target instanceof HTMLElement)) return;
    const links = /** @type {HTMLElement[]} */ ([...document.querySelectorAll(".requests a.row-link")]);
    const next = links[links.indexOf(event.target) + by];
    if (next) next.focus();
    event.preventDefault();
  };
  return html`<table class="requests" onKeyDown=${onKey}>
    <colgroup><col class="col-when" /><col class="col-status" /><col /><col class="col-where" /><col class="col-took" /><col class="col-held" /><col class="col-hops" /><col class="col-failed" /><col class="col-state" /></colgroup>
    <thead><tr>
      <th aria-sort=${order === "-start" ? "descending" : undefined}>${heading("-start", "Start")}</th>
      <th>Status</th><th>Request</th><th>API</th>
      <th class="wide" aria-sort=${order === "-duration" ? "descending" : undefined}>${heading("-duration", "Duration")}</th>
      <th>Held up by</th><th class="n">Hops</th><th>What failed</th><th>State</th>
    </tr></thead>
    <tbody>${rows.map((row) => html`<tr key=${row.id} class=${row.error ? "is-failed" : ""} onClick=${(/** @type {MouseEvent} */ event) => {
        if (event.target instanceof Element && !event.target.closest("a, button") && !String(getSelection())) open("request", { id: row.id });
      }}>
      <td class="when mono">${clock(row.start, zone)}</td>
      <td class="what-status"><${Status} status=${row.status} isError=${row.error} /></td>
      <td class="what"><a class="row-link" href=${link("request", { id: row.id })}><${Text}>${nameOf(row)}<//></a></td>
      <td class="where"><${Text}>${row.api || (row.services || [])[0] || ""}<//>${row.operation && row.route && html` <span class="quiet"><${Text}>${row.operation}<//></span>`}</td>
      <td class="wide"><span class="took"><span class="took-bar" style=${{ width: ((row.duration_ms || 0) / longest) * 100 + "%" }}>
        ${row.backend_ms !== null && row.duration_ms > 0 && html`<span class="took-backend" style=${{ width: Math.min(100, (row.backend_ms / row.duration_ms) * 100) + "%" }}></span>`}</span></span>
        <span class="took-time">${durationMs(row.duration_ms)}</span></td>
      <td class="held">${row.slowest_hop && html`<${Text}>${row.slowest_hop}<//> <span class="quiet">${durationMs(row.slowest_hop_ms)}</span>`}</td>
      <td class="n hops" title=${plain((row.services || []).join(", "))}>${count(row.hops)}</td>
      <td class="failed-first">${row.verdict && row.verdict !== "none" && html`<${Verdict} text=${row.verdict} />`}${row.verdict_provisional && html`<span class="quiet" title=${plain("may change: " + row.settled_by.join(", ") + " still to come")}> ?</span>`}</td>
      <td class="state-cell">${row.joined === false && html`<span class="badge" title="no span was found for the gateway's record">not joined</span> `}${row.join_tier >= 4 && html`<span class="badge" title=${plain("no id joins the gateway's record and the spans: " + Math.round(row.join_confidence * 100) + " % likely")}>likely</span> `}<${StateBadge} state=${row.state} /></td>
    </tr>`)}</tbody></table>`;
}

/** @param {{text: string}} props */
function Verdict({ text }) {
  const [layer, ...component] = text.split(":");
  return html`<span class="bad">${layer}</span>${component.length > 0 && html` <span class="quiet"><${Text}>${component.join(":").trim()}<//></span>`}`;
}
