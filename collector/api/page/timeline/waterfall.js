// The waterfall: only the rows in sight exist, however many there are.

import { html, memo, useEffect, useLayoutEffect, useRef, useState } from "../html.js";
import { Icon } from "../parts/icons.js";
import { Text, count, duration, percent, plain } from "../text.js";
import { Virtualizer, elementScroll, observeElementOffset, observeElementRect } from "../vendor/virtual-core/index.js";
import { ADJUSTED, EXCEPTION, FAILED, INFERRED, LINKS, ORPHAN, ticks } from "./model.js";

/** Rows drawn above and below what is in sight, so that scrolling meets no gap. */
const MARGIN = 8;
const DRAG_PX = 4;
/** Where a bar ends further right than this, its label stands left of it. */
const LABEL_FITS = 0.86;

/**
 * @typedef {import("./model.js").Trace} Trace
 * @typedef {import("./model.js").Shown} Shown
 * @typedef {{from: number, to: number}} Range microseconds
 */

/** Rows are two lines high where there is no room for columns. */
export function useRowHeight() {
  const query = "(max-width: 760px)";
  const [isNarrow, setNarrow] = useState(matchMedia(query).matches);
  useEffect(() => {
    const media = matchMedia(query);
    const listen = () => setNarrow(media.matches);
    media.addEventListener("change", listen);
    return () => media.removeEventListener("change", listen);
  }, []);
  return isNarrow ? 44 : 24;
}

/**
 * The rows that are in sight of a scroller, and a few above and below them.
 * @param {{current: HTMLElement | null}} scroller
 * @param {number} count @param {number} height of a row, px
 */
export function useRows(scroller, count, height) {
  const [, draw] = useState(0);
  const held = useRef(/** @type {Virtualizer<HTMLElement, HTMLElement> | null} */ (null));
  const options = {
    count, overscan: MARGIN, scrollToFn: elementScroll, observeElementRect, observeElementOffset,
    // enough for any screen until the scroller is measured
    initialRect: { width: 0, height: 1_000 },
    scrollPaddingStart: height, scrollPaddingEnd: height,
    getScrollElement: () => scroller.current, estimateSize: () => height, onChange: () => draw((times) => times + 1),
  };
  const rows = held.current ??= new Virtualizer(options);
  rows.setOptions(options);
  useLayoutEffect(() => rows._didMount(), []);
  useLayoutEffect(() => rows._willUpdate());
  useLayoutEffect(() => rows.measure(), [height]);
  return rows;
}

/**
 * @param {{trace: Trace, rows: Shown[], range: Range, selected: number, matches: ReadonlySet<number>,
 *   slowest: number, onSelect: (row: number) => void, onToggle: (shown: Shown) => void,
 *   onRange: (range: Range) => void, onKey: (event: KeyboardEvent) => void}} props
 */
export function Waterfall({ trace, rows, range, selected, matches, slowest, onSelect, onToggle, onRange, onKey }) {
  const scroller = useRef(/** @type {HTMLElement | null} */ (null));
  const axis = useRef(/** @type {HTMLElement | null} */ (null));
  const height = useRowHeight();
  const virtual = useRows(scroller, rows.length, height);
  useDrag(scroller, axis, range, onRange);
  const at = rows.findIndex((each) => each.row === selected);
  useEffect(() => { if (at >= 0) virtual.scrollToIndex(at); }, [selected, at, height]);
  const items = virtual.getVirtualItems();
  const step = grid(range);
  return html`<div class="wf" style=${step.style}>
    <div class="wf-head">
      <span class="wf-name">Service and operation</span>
      <span class="wf-share" title="Share of the request that the row held up by itself: its part of the critical path">Held up</span>
      <div class="wf-axis" ref=${axis}>${step.ticks.map((tick) => html`
        <span class="wf-tick" style=${{ left: tick.left }}>${tick.label}</span>`)}</div>
    </div>
    <div class="wf-scroll" ref=${scroller} tabindex="0" role="treegrid" aria-label="Waterfall"
      aria-rowcount=${rows.length} aria-activedescendant=${items.some(({ index }) => index === at) ? "row-" + selected : undefined}
      onKeyDown=${onKey}>
      <div class="wf-space" role="presentation" style=${{ height: virtual.getTotalSize() + "px" }}>
        ${items.map(({ index, start }) => html`<${Row} key=${rows[index].row} trace=${trace} shown=${rows[index]}
          index=${index} top=${start} range=${range}
          isSelected=${index === at} isMatch=${matches.has(rows[index].row)} isSlowest=${rows[index].row === slowest}
          onSelect=${onSelect} onToggle=${onToggle} />`)}
      </div>
    </div>
    <div class="wf-cross" aria-hidden="true"><span></span></div>
    <div class="wf-drag" aria-hidden="true"></div>
  </div>`;
}

/**
 * @param {{trace: Trace, shown: Shown, index: number, top: number, range: Range, isSelected: boolean,
 *   isMatch: boolean, isSlowest: boolean, onSelect: (row: number) => void, onToggle: (shown: Shown) => void}} props
 */
function DrawnRow({ trace, shown, index, top, range, isSelected, isMatch, isSlowest, onSelect, onToggle }) {
  const { row, depth, share } = shown;
  const flags = trace.flags[row];
  const layer = trace.layers[row];
  const isFailed = (flags & FAILED) !== 0;
  const names = ["wf-row", "layer-" + layer];
  if (isSelected) names.push("is-selected");
  if (isMatch) names.push("is-match");
  if (isFailed) names.push("is-failed");
  if (isSlowest) names.push("is-slowest");
  const side = PROXY_SIDES[trace.roles[row]];
  const parent = trace.parents[row];
  // Inside a service its name says nothing new: what it does comes first.
  const isInner = parent >= 0 && trace.services[parent] === trace.services[row] && layer === trace.layers[parent];
  return html`<div class=${names.join(" ")} style=${{ top: top + "px" }} role="row" id=${"row-" + row}
      aria-level=${depth + 1} aria-rowindex=${index + 1} aria-selected=${isSelected}
      aria-expanded=${shown.hasCaret ? !shown.isClosed : undefined} onClick=${() => onSelect(row)}>
    <div class="wf-name" role="gridcell" style=${{ "--depth": indent(depth) }}>
      ${shown.hasCaret ? html`<button type="button" tabindex="-1" class=${"caret" + (shown.isClosed ? "" : " is-open")}
        aria-label=${shown.isClosed ? "Open" : "Close"}
        onClick=${(/** @type {Event} */ event) => { event.stopPropagation(); onToggle(shown); }}><${Icon} name="right" /></button>`
      : html`<span class="caret"></span>`}
      <span class="wf-label">
        ${isFailed && html`<span class="flag bad" title="failed"><${Icon} name="failed" /></span>`}
        <span class="wf-dot"></span>${isInner ? html`<${Text}>${trace.names[row]}<//> <span class="wf-what"><${Text}>${trace.services[row]}<//></span>`
        : html`<strong><${Text}>${trace.services[row]}<//></strong> ${side && html`<span class="wf-side">${side}</span> `}<span class="wf-what"><${Text}>${trace.names[row]}<//></span>`}
      </span>
      ${shown.hidden > 0 && html`<span class="wf-hidden" title="rows that are hidden behind this one">+${count(shown.hidden)}</span>`}
      ${depth > 10 && html`<span class="wf-depth" title="depth">${depth}</span>`}
      <${Flags} flags=${flags} attempt=${attemptOf(trace, row)} />
    </div>
    <${Share} share=${share} />
    <div class="wf-bars" role="gridcell"><${Bar} trace=${trace} shown=${shown} range=${range} /></div>
  </div>`;
}

const Row = memo(DrawnRow);

/** Which side of a call a proxy stands on. */
const PROXY_SIDES = /** @type {Record<string, string>} */ ({
  client_proxy: "proxy out", server_proxy: "proxy in", waypoint: "waypoint",
});

/** How much of the request a row held up. @param {{share: number}} props */
export function Share({ share }) {
  return html`<div class="wf-share" role="gridcell">${share >= 0.0005 && html`<span class="wf-share-bar" style=${{ width: share * 100 + "%" }}></span>
    <span class="wf-share-value">${percent(share)}</span>`}</div>`;
}

/** @param {Trace} trace @param {number} row */
function attemptOf(trace, row) {
  const facts = trace.hopFacts[trace.hops[row]];
  const begins = trace.parents[row] < 0 || trace.hops[trace.parents[row]] !== trace.hops[row];
  return facts && begins && facts.attempts > 1 ? `try ${facts.attempt} of ${facts.attempts}` : "";
}

/** @param {{flags: number, attempt: string}} props */
function Flags({ flags, attempt }) {
  return html`${attempt && html`<span class="tag">${attempt}</span>`}
    ${(flags & EXCEPTION) !== 0 && html`<span class="flag bad" title="has an exception"><${Icon} name="exception" /></span>`}
    ${(flags & LINKS) !== 0 && html`<span class="flag" title="links to other spans"><${Icon} name="link" /></span>`}
    ${(flags & ORPHAN) !== 0 && html`<span class="flag warn" title="its parent never arrived"><${Icon} name="orphan" /></span>`}
    ${(flags & ADJUSTED) !== 0 && html`<span class="flag" title="moved: its host's clock is off"><${Icon} name="clock" /></span>`}
    ${(flags & INFERRED) !== 0 && html`<span class="tag" title="no span tells of it; it follows from others">inferred</span>`}`;
}

/** Deep levels get less room each, so that names stay in sight. @param {number} depth */
function indent(depth) {
  return depth <= 10 ? depth : 10 + Math.min(4, (depth - 10) / 16);
}

/** @param {{trace: Trace, shown: Shown, range: Range}} props */
function Bar({ trace, shown, range }) {
  const { row, sections } = shown;
  const start = trace.starts[row];
  const length = trace.durations[row];
  const end = start + (length || 0);
  const whole = range.to - range.from;
  const x = (/** @type {number} */ us) => (us - range.from) / whole;
  if (x(end) < 0 || x(start) > 1) {
    const isBefore = x(end) < 0;
    return html`<span class=${"wf-away" + (isBefore ? "" : " is-right")} title=${duration(start) + " from the start"}>${isBefore ? "←" : "→"}</span>`;
  }
  const left = Math.max(0, x(start));
  const right = Math.min(1, x(end));
  const label = duration(length);
  const side = right < LABEL_FITS ? "is-right" : left > 1 - LABEL_FITS ? "is-left" : "is-inside";
  const place = side === "is-right" ? { left: cut(right) } : side === "is-left" ? { right: cut(1 - left) } : { left: cut(left) };
  const told = plain(`${trace.services[row]} ${trace.names[row]}: ${label} from ${duration(start)}`
    + (trace.critical.get(row) ? `, held the answer up for ${duration(trace.critical.get(row))}` : ""));
  return html`<span class="wf-bar" style=${{ left: cut(left), width: cut(right - left) }} title=${told}></span>
    ${inRange(sections, range).map(({ from, to }) => html`<span class="wf-crit"
      style=${{ left: cut(Math.max(0, x(from))), width: cut(Math.min(1, x(to)) - Math.max(0, x(from))) }}></span>`)}
    ${(trace.marks.get(row) || []).slice(0, 40).map(([at, isException]) => (x(at) >= 0 && x(at) <= 1
      ? html`<span class=${"wf-mark" + (isException ? " is-exception" : "")} style=${{ left: cut(x(at)) }}></span>` : null))}
    <span class=${"wf-time " + side} style=${place}>${label}</span>`;
}

/** A row stands for so many sections at most: more than that is less than a pixel each. */
const MOST_SECTIONS = 60;

/**
 * @param {import("./model.js").Section[]} sections @param {Range} range
 * @returns {{from: number, to: number}[]}
 */
function inRange(sections, range) {
  const inside = sections.filter(({ from, to }) => to >= range.from && from <= range.to);
  if (inside.length <= MOST_SECTIONS) return inside;
  const merged = [];
  const gap = (range.to - range.from) / 400;
  for (const { from, to } of [...inside].sort((a, b) => a.from - b.from)) {
    const last = merged[merged.length - 1];
    if (last && from - last.to < gap) last.to = Math.max(last.to, to);
    else merged.push({ from, to });
  }
  return merged;
}

/** @param {number} ratio */
function cut(ratio) {
  return (ratio * 100).toFixed(3) + "%";
}

/** Return the lines behind the bars, and their labels. @param {Range} range */
export function grid(range) {
  const whole = range.to - range.from;
  const at = ticks(range.from, range.to, 6);
  const step = at.length > 1 ? (at[1] - at[0]) / whole : 2;
  const off = at.length ? (at[0] - range.from) / whole : 0;
  return {
    style: {
      "--step": cut(step),
      // a background's place is a share of what its size leaves free
      "--off": step === 1 ? "0%" : cut(off / (1 - step)),
    },
    ticks: at.filter((tick) => (tick - range.from) / whole < 0.97)
      .map((tick) => ({ left: cut((tick - range.from) / whole), label: duration(tick) })),
  };
}

/**
 * Let the pointer zoom: drag a stretch, turn the wheel with Ctrl, click twice for the whole.
 * @param {{current: HTMLElement | null}} scroller @param {{current: HTMLElement | null}} axis
 * @param {Range} range @param {(range: Range) => void} onRange
 */
function useDrag(scroller, axis, range, onRange) {
  const now = useRef({ range, onRange });
  now.current = { range, onRange };
  useEffect(() => {
    const box = scroller.current;
    const scale = axis.current;
    const frame = box && box.parentElement;
    if (!box || !scale || !frame) return undefined;
    const cross = /** @type {HTMLElement} */ (frame.querySelector(".wf-cross"));
    const band = /** @type {HTMLElement} */ (frame.querySelector(".wf-drag"));
    let began = /** @type {number | null} */ (null);
    let isDragging = false;
    const at = (/** @type {number} */ x) => {
      const { left, width } = scale.getBoundingClientRect();
      const { from, to } = now.current.range;
      return from + Math.min(1, Math.max(0, (x - left) / width)) * (to - from);
    };
    const isOnBars = (/** @type {PointerEvent | WheelEvent | MouseEvent} */ event) =>
      event.clientX >= scale.getBoundingClientRect().left - 1;
    const move = (/** @type {PointerEvent} */ event) => {
      const { left } = frame.getBoundingClientRect();
      if (began === null) {
        const shows = isOnBars(event) && event.pointerType === "mouse";
        cross.classList.toggle("is-shown", shows);
        if (shows) {
          cross.style.setProperty("left", event.clientX - left + "px");
          /** @type {HTMLElement} */ (cross.firstElementChild).textContent = duration(at(event.clientX));
        }
        return;
      }
      if (!isDragging && Math.abs(event.clientX - began) < DRAG_PX) return;
      if (!isDragging) {
        isDragging = true;
        cross.classList.remove("is-shown");
        band.classList.add("is-shown");
        frame.setPointerCapture(event.pointerId);
      }
      const [a, b] = [began, event.clientX].sort((one, two) => one - two);
      const bounds = scale.getBoundingClientRect();
      band.style.setProperty("left", Math.max(a, bounds.left) - left + "px");
      band.style.setProperty("width", Math.max(0, Math.min(b, bounds.right) - Math.max(a, bounds.left)) + "px");
    };
    const down = (/** @type {PointerEvent} */ event) => {
      // A finger scrolls; the minimap zooms for it.
      if (event.button === 0 && event.pointerType === "mouse" && isOnBars(event)) began = event.clientX;
    };
    const up = (/** @type {PointerEvent} */ event) => {
      if (isDragging && began !== null) {
        const [from, to] = [at(began), at(event.clientX)].sort((a, b) => a - b);
        if (to - from >= 1) now.current.onRange({ from, to });
      }
      began = null;
      isDragging = false;
      band.classList.remove("is-shown");
    };
    const leave = () => cross.classList.remove("is-shown");
    const whole = (/** @type {MouseEvent} */ event) => {
      if (isOnBars(event)) now.current.onRange({ from: -Infinity, to: Infinity });
    };
    const wheel = (/** @type {WheelEvent} */ event) => {
      if (!isOnBars(event) || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      const { from, to } = now.current.range;
      const pivot = at(event.clientX);
      const factor = Math.exp(Math.max(-60, Math.min(60, event.deltaY)) * 0.006);
      now.current.onRange({ from: pivot - (pivot - from) * factor, to: pivot + (to - pivot) * factor });
    };
    frame.addEventListener("pointermove", move);
    frame.addEventListener("pointerdown", down);
    frame.addEventListener("pointerup", up);
    frame.addEventListener("pointerleave", leave);
    frame.addEventListener("dblclick", whole);
    frame.addEventListener("wheel", wheel, { passive: false });
    return () => {
      frame.removeEventListener("pointermove", move);
      frame.removeEventListener("pointerdown", down);
      frame.removeEventListener("pointerup", up);
      frame.removeEventListener("pointerleave", leave);
      frame.removeEventListener("dblclick", whole);
      frame.removeEventListener("wheel", wheel);
    };
  }, []);
}
