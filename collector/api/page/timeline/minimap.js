// The whole request in a strip: all rows as lines, and the stretch that the waterfall shows.

import { html, useEffect, useRef, useState } from "../html.js";
import { duration } from "../text.js";
import { FAILED, ticks } from "./model.js";

const HEIGHT = 52;
const GRIP_PX = 6;

/**
 * @param {{trace: import("./model.js").Trace, loaded: number, range: import("./waterfall.js").Range,
 *   onRange: (range: import("./waterfall.js").Range) => void}} props
 */
export function Minimap({ trace, loaded, range, onRange }) {
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const [width, setWidth] = useState(0);
  const [isDark, setDark] = useState(matchMedia("(prefers-color-scheme: dark)").matches);
  const now = useRef({ range, onRange });
  now.current = { range, onRange };
  useEffect(() => {
    const media = matchMedia("(prefers-color-scheme: dark)");
    const listen = () => setDark(media.matches);
    media.addEventListener("change", listen);
    const sizes = new ResizeObserver(([entry]) => setWidth(Math.round(entry.contentRect.width)));
    if (canvas.current && canvas.current.parentElement) sizes.observe(canvas.current.parentElement);
    return () => { media.removeEventListener("change", listen); sizes.disconnect(); };
  }, []);
  useEffect(() => {
    if (canvas.current && width) draw(canvas.current, trace, width);
  }, [trace, loaded, width, isDark]);
  const strip = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    if (!strip.current) return undefined;
    return follow(strip.current, trace, () => now.current.range, (next) => now.current.onRange(next));
  }, [trace]);
  const whole = trace.to - trace.from;
  const left = Math.max(0, (range.from - trace.from) / whole);
  const right = Math.min(1, (range.to - trace.from) / whole);
  const isZoomed = left > 0.0005 || right < 0.9995;
  return html`<div class=${"mm" + (isZoomed ? " is-zoomed" : "")}>
    <div class="mm-strip" ref=${strip} aria-hidden="true"><canvas ref=${canvas}></canvas>
      <div class="mm-shade" style=${{ left: "0", width: left * 100 + "%" }}></div>
      <div class="mm-shade" style=${{ left: right * 100 + "%", width: (1 - right) * 100 + "%" }}></div>
      <div class="mm-window" style=${{ left: left * 100 + "%", width: (right - left) * 100 + "%" }}>
        <span class="mm-grip"></span><span class="mm-grip is-right"></span></div>
    </div>
    <div class="mm-axis" aria-hidden="true">${ticks(trace.from, trace.to, 8).filter((at) => (at - trace.from) / whole < 0.96).map((at) => html`
      <span style=${{ left: ((at - trace.from) / whole) * 100 + "%" }}>${duration(at)}</span>`)}</div>
  </div>`;
}

/** @param {HTMLCanvasElement} canvas @param {import("./model.js").Trace} trace @param {number} width px */
function draw(canvas, trace, width) {
  const scale = devicePixelRatio || 1;
  canvas.width = width * scale;
  canvas.height = HEIGHT * scale;
  canvas.style.setProperty("width", width + "px");
  canvas.style.setProperty("height", HEIGHT + "px");
  const pen = canvas.getContext("2d");
  if (!pen) return;
  pen.scale(scale, scale);
  const style = getComputedStyle(canvas);
  const colours = new Map(["gateway", "edge", "proxy", "app", "dependency", "network"]
    .map((layer) => [layer, style.getPropertyValue("--" + layer).trim()]));
  const bad = style.getPropertyValue("--bad").trim();
  const whole = trace.to - trace.from;
  const x = (/** @type {number} */ us) => ((us - trace.from) / whole) * width;
  const step = (HEIGHT - 4) / Math.max(trace.loaded, 12);
  const thick = Math.max(1, Math.min(5, step - 1));
  for (let row = 0; row < trace.loaded; row += 1) {
    const isFailed = (trace.flags[row] & FAILED) !== 0;
    pen.globalAlpha = isFailed ? 0.9 : 0.4;
    pen.fillStyle = isFailed ? bad : colours.get(trace.layers[row]) || "";
    pen.fillRect(x(trace.starts[row]), 2 + row * step, Math.max(1, ((trace.durations[row] || 0) / whole) * width), thick);
  }
  pen.globalAlpha = 1;
  for (const { row, from, to } of trace.sections) {
    if (row >= trace.loaded) continue;
    pen.fillStyle = colours.get(trace.layers[row]) || "";
    pen.fillRect(x(from), 2 + row * step, Math.max(1, ((to - from) / whole) * width), Math.max(thick, 1.5));
  }
}

/**
 * Let the pointer choose a stretch, move it, or pull at its ends.
 * @param {HTMLElement} strip @param {import("./model.js").Trace} trace
 * @param {() => import("./waterfall.js").Range} current
 * @param {(range: import("./waterfall.js").Range) => void} tell
 */
function follow(strip, trace, current, tell) {
  let held = /** @type {{kind: string, at: number, from: number, to: number} | null} */ (null);
  const whole = trace.to - trace.from;
  const at = (/** @type {PointerEvent} */ event) => {
    const { left, width } = strip.getBoundingClientRect();
    return trace.from + Math.min(1, Math.max(0, (event.clientX - left) / width)) * whole;
  };
  const down = (/** @type {PointerEvent} */ event) => {
    if (event.button !== 0) return;
    const { from, to } = current();
    const moment = at(event);
    const grip = (GRIP_PX / strip.clientWidth) * whole;
    const isZoomed = from > trace.from || to < trace.to;
    let kind = "new";
    if (isZoomed && Math.abs(moment - from) < grip) kind = "from";
    else if (isZoomed && Math.abs(moment - to) < grip) kind = "to";
    else if (isZoomed && moment > from && moment < to) kind = "move";
    held = { kind, at: moment, from, to };
    strip.setPointerCapture(event.pointerId);
    event.preventDefault();
  };
  const move = (/** @type {PointerEvent} */ event) => {
    if (!held) return;
    const moment = at(event);
    const { kind, from, to } = held;
    if (kind === "from") tell({ from: Math.min(moment, to - whole / 1e4), to });
    else if (kind === "to") tell({ from, to: Math.max(moment, from + whole / 1e4) });
    else if (kind === "move") {
      const by = Math.min(trace.to - to, Math.max(trace.from - from, moment - held.at));
      tell({ from: from + by, to: to + by });
    } else if (Math.abs(moment - held.at) > whole / 500) {
      tell({ from: Math.min(moment, held.at), to: Math.max(moment, held.at) });
    }
  };
  const up = () => { held = null; };
  const reset = () => tell({ from: -Infinity, to: Infinity });
  strip.addEventListener("pointerdown", down);
  strip.addEventListener("pointermove", move);
  strip.addEventListener("pointerup", up);
  strip.addEventListener("pointercancel", up);
  strip.addEventListener("dblclick", reset);
  return () => {
    strip.removeEventListener("pointerdown", down);
    strip.removeEventListener("pointermove", move);
    strip.removeEventListener("pointerup", up);
    strip.removeEventListener("pointercancel", up);
    strip.removeEventListener("dblclick", reset);
  };
}
