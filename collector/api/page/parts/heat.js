// When requests were slow: how many took how long over time, to choose from with the pointer or the keys.

import { now, useAnswer } from "../ask.js";
import { html, useEffect, useLayoutEffect, useRef, useState } from "../html.js";
import { POPULATION } from "../search/filters.js";
import { useZone } from "../shell.js";
import { clock, count, duration, durationMs, plural, split } from "../text.js";

/** Filters of the search that this picture knows. */
const HEAT_FILTERS = [...POPULATION.filter((name) => name !== "service"), "error", "min_duration_ms", "max_duration_ms"];
const HEIGHT = 92;
const AXIS = 46;
/** Labels of the axis closer than this would stand in each other. */
const LABEL_PX = 13;
/** Shorter than 32 µs is one row: what was not measured finely must not press the rest together. */
const LEAST_ROW = 30;
/** A drag of less is a click. */
const LEAST_PX = 5;
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
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const [width, setWidth] = useState(0);
  const [scheme, setScheme] = useState(0);
  const [drag, setDrag] = useState(/** @type {{x0: number, y0: number, x1: number, y1: number} | null} */ (null));
  const [at, setAt] = useState("");
  const from = new Date(heat.start).getTime();
  const to = new Date(heat.end).getTime();
  const rows = heat.cells.map(([, row]) => row);
  const top = Math.max(...rows);
  const low = Math.min(top, Math.max(LEAST_ROW, Math.min(...rows)));
  const high = Math.max(top, low + 7) + 1;
  /** Columns and rows that the keys chose; they move its second corner. */
  const [keyed, setKeyed] = useState(/** @type {{c0: number, r0: number, c1: number, r1: number} | null} */ (null));
  const inner = Math.max(1, width - AXIS);
  const yOf = (/** @type {number} */ row) => HEIGHT - ((row - low) / (high - low)) * HEIGHT;
  useLayoutEffect(() => {
    if (!box.current) return undefined;
    const observer = new ResizeObserver(([entry]) => setWidth(entry.contentRect.width));
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    const media = matchMedia("(prefers-color-scheme: dark)");
    const turn = () => setScheme((value) => value + 1);
    media.addEventListener("change", turn);
    return () => media.removeEventListener("change", turn);
  }, []);
  useLayoutEffect(() => {
    const context = canvas.current && canvas.current.getContext("2d");
    if (!context || !canvas.current || !width) return;
    const ratio = devicePixelRatio || 1;
    canvas.current.width = inner * ratio;
    canvas.current.height = HEIGHT * ratio;
    context.scale(ratio, ratio);
    const style = getComputedStyle(canvas.current);
    const colour = style.getPropertyValue("--heat");
    const bad = style.getPropertyValue("--bad");
    const most = Math.max(...heat.cells.map((cell) => cell[2]));
    const step = inner / heat.columns;
    const size = HEIGHT / (high - low);
    for (const [column, row, requests, errors] of heat.cells) {
      const top = yOf(Math.max(row, low) + 1);
      context.fillStyle = `rgba(${colour}, ${0.2 + 0.8 * Math.sqrt(requests / most)})`;
      context.fillRect(column * step, top, Math.max(1, step - 1), Math.max(1, size - 1));
      if (!errors) continue;
      const part = Math.max(2, (size - 1) * (errors / requests));
      context.fillStyle = bad;
      context.fillRect(column * step, top + size - 1 - part, Math.max(1, step - 1), part);
    }
  }, [heat, width, scheme]);
  const place = (/** @type {PointerEvent} */ event) => {
    const frame = /** @type {HTMLElement} */ (event.currentTarget).getBoundingClientRect();
    return { x: Math.max(0, Math.min(inner, event.clientX - frame.left)), y: Math.max(0, Math.min(HEIGHT, event.clientY - frame.top)) };
  };
  const timeAt = (/** @type {number} */ x) => from + (x / inner) * (to - from);
  const nsAt = (/** @type {number} */ y) => boundNs(low + ((HEIGHT - y) / HEIGHT) * (high - low));
  const onMove = (/** @type {PointerEvent} */ event) => {
    const { x, y } = place(event);
    if (drag) setDrag({ ...drag, x1: x, y1: y });
    const column = Math.floor((x / inner) * heat.columns);
    const row = Math.floor(low + ((HEIGHT - y) / HEIGHT) * (high - low));
    setKeyed(null);
    setAt(tell(column, column, row, row));
  };
  /** What lies in some cells, "" if nothing does; the lowest row has all that took less. */
  const tell = (/** @type {number} */ left, /** @type {number} */ right, /** @type {number} */ bottom, /** @type {number} */ up) => {
    const cells = heat.cells.filter(([column, row]) => column >= left && column <= right && Math.max(row, low) >= bottom && row <= up);
    const [requests, errors] = [2, 3].map((field) => cells.reduce((sum, cell) => sum + cell[field], 0));
    const when = clock(timeAt((left / heat.columns) * inner), zone).slice(0, -4)
      + (right > left ? ` – ${clock(timeAt(((right + 1) / heat.columns) * inner), zone).slice(0, -4)}` : "");
    return requests ? `${when}: ${plural(requests, "request")} of ${duration(boundNs(bottom) / 1_000)} to ${duration(boundNs(up + 1) / 1_000)}${errors ? `, ${count(errors)} failed` : ""}` : "";
  };
  const keyBox = keyed && { left: Math.min(keyed.c0, keyed.c1), right: Math.max(keyed.c0, keyed.c1), bottom: Math.min(keyed.r0, keyed.r1), up: Math.max(keyed.r0, keyed.r1) };
  const onKey = (/** @type {KeyboardEvent} */ event) => {
    const [across, up] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key] || [0, 0];
    if (across || up) {
      // It begins at the slowest of the last requests.
      const last = heat.cells.reduce((best, cell) => (cell[1] > best[1] || (cell[1] === best[1] && cell[0] > best[0]) ? cell : best));
      const from = keyed || { c0: last[0], r0: last[1], c1: last[0], r1: last[1] };
      const c1 = keyed ? Math.max(0, Math.min(heat.columns - 1, from.c1 + across)) : from.c1;
      const r1 = keyed ? Math.max(low, Math.min(high - 1, from.r1 + up)) : from.r1;
      const next = event.shiftKey ? { ...from, c1, r1 } : { c0: c1, r0: r1, c1, r1 };
      setKeyed(next);
      setAt(tell(Math.min(next.c0, c1), Math.max(next.c0, c1), Math.min(next.r0, r1), Math.max(next.r0, r1)) || "no request here");
    } else if (event.key === "Enter" && keyBox) {
      const ms = (/** @type {number} */ row) => Number((boundNs(row) / 1e6).toPrecision(3));
      choose({
        start: new Date(timeAt((keyBox.left / heat.columns) * inner)).toISOString(),
        end: new Date(timeAt(((keyBox.right + 1) / heat.columns) * inner)).toISOString(),
        minMs: keyBox.bottom > low ? ms(keyBox.bottom) : null,
        maxMs: keyBox.up < high - 1 ? ms(keyBox.up + 1) : null,
      });
      setKeyed(null);
    } else if (event.key === "Escape" && keyed) setKeyed(null);
    else return;
    event.preventDefault();
  };
  const drawn = drag ? { left: Math.min(drag.x0, drag.x1), top: Math.min(drag.y0, drag.y1), width: Math.abs(drag.x1 - drag.x0), height: Math.abs(drag.y1 - drag.y0) }
    : keyBox && { left: (keyBox.left / heat.columns) * inner, top: yOf(keyBox.up + 1), width: ((keyBox.right + 1 - keyBox.left) / heat.columns) * inner, height: yOf(keyBox.bottom) - yOf(keyBox.up + 1) };
  const onUp = () => {
    if (!drag) return;
    setDrag(null);
    const [left, right] = [Math.min(drag.x0, drag.x1), Math.max(drag.x0, drag.x1)];
    const [top, bottom] = [Math.min(drag.y0, drag.y1), Math.max(drag.y0, drag.y1)];
    if (right - left < LEAST_PX && bottom - top < LEAST_PX) return;
    const isTall = bottom - top >= LEAST_PX * 2;
    const ms = (/** @type {number} */ y) => Number((nsAt(y) / 1e6).toPrecision(3));
    choose({
      start: new Date(timeAt(right - left < LEAST_PX ? 0 : left)).toISOString(),
      end: new Date(timeAt(right - left < LEAST_PX ? inner : right)).toISOString(),
      minMs: isTall && bottom < HEIGHT - 2 ? ms(bottom) : null,
      maxMs: isTall && top > 2 ? ms(top) : null,
    });
  };
  const total = heat.cells.reduce((sum, cell) => sum + cell[2], 0);
  const failed = heat.cells.reduce((sum, cell) => sum + cell[3], 0);
  const decades = [];
  const rowOf = (/** @type {number} */ ns) => 2 * Math.log2(ns);
  for (let ns = 1e12, last = -LABEL_PX; ns >= boundNs(low); ns /= 10) {
    if (ns >= boundNs(high) || yOf(rowOf(ns)) - last < LABEL_PX) continue;
    last = yOf(rowOf(ns));
    decades.push(ns);
  }
  const ticks = [0, 0.25, 0.5, 0.75].map((part) => ({ part, ...split(timeAt(part * inner), zone) }));
  // The day stands only where another one begins: there is no room for more.
  const dayBefore = (/** @type {number} */ at) => (at ? ticks[at - 1].day : split(now(), zone).day);
  return html`<div class="heat-box" ref=${box}>
    <div class="heat-axis" aria-hidden="true">${decades.map((ns) => html`<span style=${{ top: yOf(rowOf(ns)) + "px" }}>${duration(ns / 1_000).replace(/\.0+ /, " ")}</span>`)}</div>
    <div class="heat-field" role="application" tabindex="0" onKeyDown=${onKey} onBlur=${() => { setKeyed(null); setAt(""); }}
      aria-label=${`${plural(total, "request")} by duration and time${failed ? `, ${count(failed)} failed` : ""}; drag to choose some, or go with the arrow keys, widen with Shift, choose with Enter`} style=${{ left: AXIS + "px", width: inner + "px", height: HEIGHT + "px" }}
      onPointerDown=${(/** @type {PointerEvent} */ event) => { if (event.button) return; const { x, y } = place(event); /** @type {HTMLElement} */ (event.currentTarget).setPointerCapture(event.pointerId); setDrag({ x0: x, y0: y, x1: x, y1: y }); }}
      onPointerMove=${onMove} onPointerUp=${onUp} onPointerCancel=${() => setDrag(null)} onPointerLeave=${() => setAt("")}>
      <canvas ref=${canvas} style=${{ width: inner + "px", height: HEIGHT + "px" }}></canvas>
      ${threshold !== null && threshold > 0 && rowOf(threshold * 1e6) > low && rowOf(threshold * 1e6) < high && html`<span class=${"heat-line" + (yOf(rowOf(threshold * 1e6)) < 20 ? " is-high" : "")} style=${{ top: yOf(rowOf(threshold * 1e6)) + "px" }}><span>slow: ${durationMs(threshold)}</span></span>`}
      ${drawn && html`<span class="heat-drag" style=${{ left: drawn.left + "px", top: drawn.top + "px", width: drawn.width + "px", height: drawn.height + "px" }}></span>`}
    </div>
    <div class="heat-times" style=${{ left: AXIS + "px", width: inner + "px" }}>${ticks.map(({ part, day, clock: time }, at) => html`<span style=${{ left: part * 100 + "%" }}>${day === dayBefore(at) ? "" : day.slice(5) + " "}${time.slice(0, 5)}</span>`)}<span class="heat-at" role="status">${at || "drag to choose"}</span></div></div>`;
}
