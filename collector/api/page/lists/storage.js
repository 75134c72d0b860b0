// What is kept of each kind of row, for how long, what it takes, and what another time would change.

import { change } from "../address.js";
import { html } from "../html.js";
import { bytes, count, plural } from "../text.js";

/** @type {Record<string, string>} */
const NAMES = { spans: "Spans", "kept spans": "Spans kept for longer", logs: "Access-log lines", metrics: "Metrics", records: "Gateway records", requests: "Stitched requests", other: "What was learned" };

/**
 * @param {{report: any, days: string}} props `days`: what the address asks to reckon with
 */
export function Storage({ report, days }) {
  const kinds = /** @type {any[]} */ (report.kinds);
  const most = Math.max(1, ...kinds.map((kind) => kind.bytes));
  const offered = [...new Set(kinds.flatMap((kind) => kind.choices.map((/** @type {any} */ each) => each.days)))].sort((a, b) => a - b);
  const asked = offered.includes(Number(days)) ? Number(days) : offered.includes(7) ? 7 : offered[0];
  return html`<section class="card is-drawn"><header class="row spread"><h2>Storage</h2>
      <span class="row"><span class="quiet">${bytes(report.bytes)} on this node's disk</span>
      ${offered.length > 0 && html`<label class="row quiet">if kept <select class="input" value=${asked} onChange=${(/** @type {any} */ event) => change({ keep: event.target.value }, { step: true })}>
        ${offered.map((each) => html`<option value=${each} selected=${each === asked}>${plural(each, "day")}</option>`)}</select></label>`}</span></header>
    <div class="grid-scroll" tabindex="0" role="region" aria-label="Storage"><table class="grid stacks"><thead><tr><th>Kind</th><th>Kept for</th><th class="n">Rows</th><th>On disk</th><th class="n">Per row</th><th class="n">Per day</th><th class="n">In the long run</th>
      <th class="n">If kept ${plural(asked, "day")}</th></tr></thead>
    <tbody>${kinds.map((kind) => html`<tr><td><strong>${NAMES[kind.kind] || kind.kind}</strong></td>
      <td data-label="kept for"><span title=${"days there are rows of: " + kind.days}>${kind.kept_days === null ? "ever" : plural(kind.kept_days, "day")}</span> <code class="quiet setting">${kind.setting}</code></td>
      <td class="n" data-label="rows">${count(kind.rows)}</td>
      <td class="line wide-stacked" data-label="on disk"><span class="size-track" aria-hidden="true"><span class="size-fill" style=${{ width: (kind.bytes / most) * 100 + "%" }}></span></span> ${bytes(kind.bytes)}</td>
      <td class="n" data-label="per row">${bytes(kind.bytes_per_row)}</td><td class="n" data-label="per day">${bytes(kind.bytes_per_day)}</td><td class="n" data-label="in the long run">${kind.kept_days === null && kind.bytes_per_day ? "grows" : bytes(kind.expected_bytes)}</td>
      <td class="n wide-stacked" data-label=${`if kept ${plural(asked, "day")}`}>${told(kind, asked)}</td></tr>${kind.apis.map((/** @type {any} */ each) => html`<tr><td>of ${each.api}</td>
      <td data-label="kept for">${each.kept_days === null ? "ever" : plural(each.kept_days, "day")} <code class="quiet setting">HOPLINE_RETENTION</code></td>
      <td class="n" data-label="rows">${count(each.rows)}</td><td class="line wide-stacked" data-label="on disk">about ${bytes(each.bytes)}</td>
      <td class="n"></td><td class="n"></td><td class="n"></td><td class="n"></td></tr>`)}`)}</tbody></table></div>
    ${kinds.some((kind) => kind.bytes_per_day === null) && html`<p class="quiet list-end">What a day takes is known after the first full day.</p>`}</section>`;
}

/** Say what another time to live would change. @param {any} kind @param {number} days @returns {string} */
function told(kind, days) {
  if (kind.kept_days === days) return "as now";
  const other = kind.choices.find((/** @type {any} */ each) => each.days === days);
  if (!other) return "–";
  const parts = [];
  if (other.freed_bytes > 0) parts.push(`frees ${bytes(other.freed_bytes)} at once`);
  if (other.expected_bytes !== null) {
    const more = kind.expected_bytes === null ? null : other.expected_bytes - kind.expected_bytes;
    parts.push(more === null ? `${bytes(other.expected_bytes)} in the long run` : `${more < 0 ? "saves" : "takes"} ${bytes(Math.abs(more))}${more < 0 ? "" : " more"} in the long run`);
  }
  return parts.join(", ") || "frees nothing yet";
}

/** @param {any} report @returns {(string | number | null)[][]} rows of a table */
export function storageRows(report) {
  return report.kinds.map((/** @type {any} */ kind) => [NAMES[kind.kind] || kind.kind, kind.kept_days === null ? "ever" : plural(kind.kept_days, "day"), kind.rows, bytes(kind.bytes), bytes(kind.bytes_per_day)]);
}
