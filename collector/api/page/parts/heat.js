// When requests were slow: how many took how long over time, to choose from with the pointer or the keys.

import { now, useAnswer } from "../ask.js";
import { html, useMemo, useRef, useState } from "../html.js";
import { POPULATION } from "../search/filters.js";
import { useZone } from "../shell.js";
import uPlot from "../vendor/uplot/uPlot.iife.min.js";
import { clock, count, duration, durationMs, plural, split } from "../text.js";
import { Chart } from "./chart.js";

/** Filters of the search that this picture knows. */
const HEAT_FILTERS = [...POPULATION.filter((name) => name !== "service"), "error", "min_duration_ms", "max_duration_ms"];
const HEIGHT = 140;
/** What the axis of times takes of it, and the room above. */
const AXIS = 20;
const ABOVE = 6;
/** What "drag to choose" takes of the axis of times. */
const WORDS_PX = 110;
/** A time closer than this to the end would be cut off. */
const EDGE_PX = 18;
/** Narrower than this there is room for times only. */
const WIDE_PX = 500;
/** Labels of the axis closer than this would stand in each other. */
const LABEL_PX = 13;
/** Shorter than 32 µs is one row: what was not measured finely must not press the rest together. */
const LEAST_ROW = 30;
/** A drag of less is a click; one of less to a side chooses everything to that side. */
const LEAST_PX = 5;
const LEAST_SIDE_PX = 10;
/** Two rows a doubling, in nanoseconds. @param {number} row */
const boundNs = (row) => 2 ** (row / 2);

/** @typedef {{start: string, end: string, columns: number, cells: [number, number, number, number][]}} Heat */
/** @typedef {{start: string, end: string, minMs: number | null, maxMs: number | null}} Chosen */

/**
 * @param {{filters: Record<string, string>, times: {start?: string, end?: string}, threshold?: number | null, everyMs?: number,
 *   choose: (chosen: Chosen) => void}} props `threshold`: ms from which on requests are marked
 */
export function HeatMap({ filters, times, threshold = null, everyMs = 0, choose }) {
  const known = Object.fromEntries(Object.entries(filters).filter(([name]) => HEAT_FILTERS.includes(name)));
  const left = Object.keys(filters).filter((name) => !HEAT_FILTERS.includes(name));
  const { data, failure } = useAnswer("api/page/heat", { ...known, ...times }, { everyMs });
  if (failure) return null;
  return html`<section class="card heat" aria-label="Durations over time">
    ${data && data.cells.length > 0 ? html`<${Picture} heat=${data} threshold=${threshold} choose=${choose} />` : html`<p class="heat-none quiet">${data ? "No gateway record of this time has a duration." : ""}</p>`}
    ${left.length > 0 && data && data.cells.length > 0 && html`<p class="quiet heat-left">the picture leaves out the filters that gateway records do not have: ${left.join(", ")}</p>`}</section>`;
}

/** @param {{heat: Heat, threshold: number | null, choose: (chosen: Chosen) => void}} props */
function Picture({ heat, threshold, choose }) {
  const zone = useZone();
  const chart = useRef(/** @type {uPlot | null} */ (null));
  const [at, setAt] = useState("");
  /** What the keys chose: a corner, and the one across that they move. */
  const keyed = useRef(/** @type {{c0: number, r0: number, c1: number, r1: number} | null} */ (null));
  const from = new Date(heat.start).getTime();
  const to = new Date(heat.end).getTime();
  const rows = heat.cells.map(([, row]) => row);
  const top = Math.max(...rows);
  const low = Math.min(top, Math.max(LEAST_ROW, Math.min(...rows)));
  const high = Math.max(top, low + 7) + 1;
  const most = Math.max(...heat.cells.map((cell) => cell[2]));
  const timeOf = (/** @type {number} */ column) => from + (column / heat.columns) * (to - from);
  const rowOf = (/** @type {number} */ ns) => 2 * Math.log2(ns);
  const ms = (/** @type {number} */ row) => Number((boundNs(row) / 1e6).toPrecision(3));
  const iso = (/** @type {number} */ time) => new Date(time).toISOString();
  const sum = (/** @type {[number, number, number, number][]} */ cells) => [2, 3].map((field) => cells.reduce((total, cell) => total + cell[field], 0));
  /** What lies in some cells, "" if nothing does; the lowest row has all that took less. */
  const tell = (/** @type {number} */ left, /** @type {number} */ right, /** @type {number} */ bottom, /** @type {number} */ up) => {
    const [requests, errors] = sum(heat.cells.filter(([column, row]) => column >= left && column <= right && Math.max(row, low) >= bottom && row <= up));
    const when = [left, ...(right > left ? [right + 1] : [])].map((column) => clock(timeOf(column), zone).slice(0, -4)).join(" – ");
    return requests ? `${when}: ${plural(requests, "request")} of ${duration(boundNs(bottom) / 1_000)} to ${duration(boundNs(up + 1) / 1_000)}${errors ? `, ${count(errors)} failed` : ""}` : "";
  };

  /** @param {uPlot} u */
  const paint = (u) => {
    const style = getComputedStyle(u.root);
    const [colour, bad] = ["--heat", "--bad"].map((variable) => style.getPropertyValue(variable));
    const step = u.bbox.width / heat.columns;
    const size = u.bbox.height / (high - low);
    const gap = devicePixelRatio || 1;
    for (const [column, row, requests, errors] of heat.cells) {
      const [x, y, width] = [u.bbox.left + column * step, u.valToPos(Math.max(row, low) + 1, "y", true), Math.max(gap, step - gap)];
      u.ctx.fillStyle = `rgb(${colour} / ${0.2 + 0.8 * Math.sqrt(requests / most)})`;
      u.ctx.fillRect(x, y, width, Math.max(gap, size - gap));
      if (!errors) continue;
      const part = Math.max(2 * gap, (size - gap) * (errors / requests));
      u.ctx.fillStyle = bad;
      u.ctx.fillRect(x, y + size - gap - part, width, part);
    }
  };
  const onCursor = (/** @type {uPlot} */ u) => {
    const { left = -1, top: y = -1 } = u.cursor;
    if (left < 0) return setAt("");
    const [column, row] = [Math.floor((u.posToVal(left, "x") - from) / (to - from) * heat.columns), Math.floor(u.posToVal(y, "y"))];
    return setAt(tell(column, column, row, row));
  };
  const onSelect = (/** @type {uPlot} */ u) => {
    const { left, top: y, width, height } = u.select;
    const bottom = u.over.clientHeight - 2;
    u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    choose({
      start: iso(u.posToVal(left, "x")), end: iso(u.posToVal(left + width, "x")),
      minMs: y + height < bottom ? ms(u.posToVal(y + height, "y")) : null,
      maxMs: y > 2 ? ms(u.posToVal(y, "y")) : null,
    });
  };
  /** Labels of powers of ten, as many as there is room for. */
  const decades = () => {
    const rowPx = (HEIGHT - AXIS - ABOVE) / (high - low);
    const found = [];
    for (let ns = 1e12, last = Infinity; ns >= boundNs(low); ns /= 10) {
      const row = rowOf(ns);
      if (ns >= boundNs(high) || (last - row) * rowPx < LABEL_PX) continue;
      last = row;
      found.unshift(row);
    }
    return found;
  };
  /** The day stands only where another one begins: there is no room for more. @param {uPlot} u @param {number[]} times */
  const times = (u, times) => {
    let before = split(now(), zone).day;
    const isWide = u.over.clientWidth > WIDE_PX;
    return times.map((time) => {
      if (u.valToPos(time, "x") > u.over.clientWidth - (isWide ? WORDS_PX : EDGE_PX)) return "";
      const { day, clock: text } = split(time, zone);
      const said = day === before ? "" : day.slice(5);
      before = day;
      if (said && text === "00:00:00") return said;
      return `${said} ${text.slice(0, times.length > 1 && times[1] - times[0] < 60_000 ? 8 : 5)}`.trim();
    });
  };
  // uPlot is made once; what it calls is that of the last drawing.
  const last = useRef({ paint, onCursor, onSelect, decades, times, from, to, low, high, zone });
  last.current = { paint, onCursor, onSelect, decades, times, from, to, low, high, zone };
  const build = (/** @type {import("./chart.js").Colours} */ colours) => {
    const axis = { stroke: colours("--dim"), font: `${colours("--size-1")} ${colours("--sans")}`, ticks: { show: false }, gap: 6 };
    return {
      padding: /** @type {[number, number, number, number]} */ ([ABOVE, 0, 0, 0]),
      tzDate: (/** @type {number} */ time) => (last.current.zone.utc ? uPlot.tzDate(new Date(time), "Etc/UTC") : new Date(time)),
      scales: {
        x: { range: () => /** @type {[number, number]} */ ([last.current.from, last.current.to]) },
        y: { range: () => /** @type {[number, number]} */ ([last.current.low, last.current.high]) },
      },
      axes: [
        { ...axis, size: AXIS, space: 64, grid: { show: false }, values: (/** @type {uPlot} */ u, /** @type {number[]} */ splits) => last.current.times(u, splits) },
        { ...axis, size: 46, grid: { stroke: colours("--line"), width: 1 }, splits: () => last.current.decades(),
          values: (/** @type {uPlot} */ _, /** @type {number[]} */ splits) => splits.map((row) => duration(Math.round(boundNs(row)) / 1_000).replace(/\.0+ /, " ")) },
      ],
      series: [{}, { paths: () => null, points: { show: false } }],
      cursor: { x: false, y: false, points: { show: false }, drag: { x: true, y: true, uni: LEAST_SIDE_PX, dist: LEAST_PX, setScale: false } },
      hooks: {
        ready: [withFingers], draw: [(/** @type {uPlot} */ u) => last.current.paint(u)],
        setCursor: [(/** @type {uPlot} */ u) => last.current.onCursor(u)], setSelect: [(/** @type {uPlot} */ u) => last.current.onSelect(u)],
      },
    };
  };
  const data = useMemo(() => [[from, to], [null, null]], [heat]);

  /** @param {typeof keyed.current} next */
  const choosing = (next) => {
    keyed.current = next;
    const u = chart.current;
    if (!u) return null;
    const [width, height] = [u.over.clientWidth / heat.columns, u.over.clientHeight / (high - low)];
    const [left, right] = next ? [Math.min(next.c0, next.c1), Math.max(next.c0, next.c1) + 1] : [0, 0];
    const [bottom, up] = next ? [Math.min(next.r0, next.r1), Math.max(next.r0, next.r1) + 1] : [0, 0];
    u.setSelect({ left: left * width, width: (right - left) * width, top: (high - up) * height, height: (up - bottom) * height }, false);
    return { left, right, bottom, up };
  };
  const onKey = (/** @type {KeyboardEvent} */ event) => {
    const [across, up] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key] || [0, 0];
    const begun = keyed.current;
    if (across || up) {
      // It begins at the slowest of the last requests.
      const slowest = heat.cells.reduce((best, cell) => (cell[1] > best[1] || (cell[1] === best[1] && cell[0] > best[0]) ? cell : best));
      const c1 = begun ? Math.max(0, Math.min(heat.columns - 1, begun.c1 + across)) : slowest[0];
      const r1 = begun ? Math.max(low, Math.min(high - 1, begun.r1 + up)) : slowest[1];
      const found = choosing(event.shiftKey && begun ? { ...begun, c1, r1 } : { c0: c1, r0: r1, c1, r1 });
      if (found) setAt(tell(found.left, found.right - 1, found.bottom, found.up - 1) || "no request here");
    } else if (event.key === "Enter" && begun) {
      const found = choosing(begun);
      choosing(null);
      if (found) choose({ start: iso(timeOf(found.left)), end: iso(timeOf(found.right)), minMs: found.bottom > low ? ms(found.bottom) : null, maxMs: found.up < high ? ms(found.up) : null });
    } else if (event.key === "Escape" && begun) choosing(null);
    else return;
    event.preventDefault();
  };
  const [total, failed] = sum(heat.cells);
  const line = threshold ? (rowOf(threshold * 1e6) - low) / (high - low) : 0;
  return html`<div class="heat-field" role="application" tabindex="0" onKeyDown=${onKey} onBlur=${() => { choosing(null); setAt(""); }}
    aria-label=${`${plural(total, "request")} by duration and time${failed ? `, ${count(failed)} failed` : ""}; drag to choose some, or go with the arrow keys, widen with Shift, choose with Enter`}>
    <${Chart} height=${HEIGHT} data=${data} build=${build} chart=${chart} />
    <div class="heat-over">${line > 0 && line < 1 && html`<span class=${"heat-line" + (line > 0.8 ? " is-high" : "")} style=${{ top: (1 - line) * 100 + "%" }}><span>slow: ${durationMs(threshold)}</span></span>`}</div>
    <span class=${"heat-at" + (at ? "" : " is-idle")} role="status">${at || "drag to choose"}</span></div>`;
}

/** uPlot hears the mouse only; a finger that moves sideways chooses too. @param {uPlot} u */
function withFingers(u) {
  for (const kind of ["down", "move", "up"]) {
    u.over.addEventListener("pointer" + kind, (/** @type {any} */ event) => {
      const { clientX, clientY } = event;
      if (event.pointerType === "touch") u.over.dispatchEvent(new MouseEvent("mouse" + kind, { clientX, clientY, movementX: 1, bubbles: true }));
    });
  }
}
