// The same time by service: all visits to one service on one line.

import { html, useRef } from "../html.js";
import { Text, count, duration, plural } from "../text.js";
import { Share, grid, useRowHeight, useRows } from "./waterfall.js";

/**
 * @param {{lines: import("./model.js").ServiceLine[], range: import("./waterfall.js").Range,
 *   select: (row: number) => void}} props
 */
export function Services({ lines, range, select }) {
  const scroller = useRef(/** @type {HTMLElement | null} */ (null));
  const height = useRowHeight();
  const virtual = useRows(scroller, lines.length, height);
  const whole = range.to - range.from;
  const place = (/** @type {number} */ from, /** @type {number} */ to) => {
    const left = Math.max(0, (from - range.from) / whole);
    return { left: left * 100 + "%", width: Math.max(0, Math.min(1, (to - range.from) / whole) - left) * 100 + "%" };
  };
  const isSeen = (/** @type {number} */ from, /** @type {number} */ to) => to >= range.from && from <= range.to;
  /** @param {import("./model.js").ServiceLine} line @param {number} index @param {number} top px */
  const drawLine = (line, index, top) => html`<div class=${"wf-row layer-" + line.layer + (line.failed ? " is-failed" : "")} role="row"
      key=${line.service} aria-rowindex=${index + 1} style=${{ top: top + "px" }} onClick=${() => select(line.row)}>
    <div class="wf-name" role="gridcell"><span class="caret"></span><span class="wf-label"><span class="wf-dot"></span><button type="button" class="plain"><strong><${Text}>${line.service}<//></strong></button>
      ${" "}<span class="wf-what">${plural(line.visits, "visit")}${line.failed ? `, ${count(line.failed)} failed` : ""}</span></span></div>
    <${Share} share=${line.share} />
    <div class="wf-bars" role="gridcell">
      ${line.spans.filter(([from, to]) => isSeen(from, to)).slice(0, 200).map(([from, to]) => html`<span class="wf-bar" style=${place(from, to)} title=${"busy for " + duration(to - from)}></span>`)}
      ${line.sections.filter(({ from, to }) => isSeen(from, to)).slice(0, 200).map(({ from, to }) => html`<span class="wf-crit" style=${place(from, to)}></span>`)}
    </div></div>`;
  const { style, ticks } = grid(range);
  return html`<div class="wf" style=${style}>
    <div class="wf-head"><span class="wf-name">${plural(lines.length, "service")}</span><span class="wf-share">Held up</span>
      <div class="wf-axis">${ticks.map(({ left, label }) => html`<span class="wf-tick" style=${{ left }}>${label}</span>`)}</div></div>
    <div class="wf-scroll" ref=${scroller} role="grid" aria-label="Time by service" aria-rowcount=${lines.length} tabindex="0">
      <div class="wf-space" role="presentation" style=${{ height: virtual.getTotalSize() + "px" }}>
      ${virtual.getVirtualItems().map(({ index, start }) => drawLine(lines[index], index, start))}
      </div></div></div>`;
}
