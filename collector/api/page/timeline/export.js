// A request to take away: Markdown, the redacted bundle, a picture.

import { ask } from "../ask.js";
import { PHASE_NAMES, phaseLayer } from "../layers.js";
import { saveFile } from "../parts/copy.js";
import { count, duration, durationMs, percent, plain } from "../text.js";
import { sayLayer } from "./head.js";
import { listRows, ticks, titleOf } from "./model.js";

/** @typedef {import("./model.js").Trace} Trace */
/** @typedef {{params: Record<string, string>, markdown: () => Promise<string>}} Asked */

const WIDTH = 1_200;
const NAMES = 420;
const ROW = 20;
const TOP = 150;
/** More rows than this make a picture that nothing can show. */
const MOST_ROWS = 1_500;

/** @type {{label: string, save: (trace: Trace, asked: Asked) => void}[]} */
export const EXPORTS = [
  { label: "Markdown", save: (trace, { markdown }) => markdown().then((text) => saveFile(nameOf(trace, "md"), new Blob([text], { type: "text/markdown" }))) },
  { label: "Picture, SVG", save: (trace, asked) => saveFile(nameOf(trace, "svg"), new Blob([drawSvg(trace, asked.params)], { type: "image/svg+xml" })) },
  { label: "Bundle, JSON, redacted", save: (trace, { params }) => ask("api/page/bundle", { id: params.id, as_of: params.as_of }, { accept: "*/*" })
    .then((bundle) => saveFile(nameOf(trace, "json"), new Blob([bundle], { type: "application/json" }))) },
  { label: "Picture, PNG", save: (trace, asked) => drawPng(trace, asked.params).then((blob) => saveFile(nameOf(trace, "png"), blob)) },
];

/** @param {Trace} trace @param {string} ending */
function nameOf(trace, ending) {
  return `hopline-${trace.request.id.replace(/[^\w.-]+/g, "_").slice(0, 80)}.${ending}`;
}

/** @param {string} text */
function escape(text) {
  return plain(text).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/**
 * Draw what is shown, folded and zoomed as it is.
 * @param {Trace} trace @param {Record<string, string>} params @returns {string}
 */
export function drawSvg(trace, params) {
  const style = getComputedStyle(document.documentElement);
  const colour = (/** @type {string} */ name) => style.getPropertyValue("--" + name).trim();
  const closed = new Set((params.closed || "").split(".").map((id) => trace.rowOf(id)).filter((row) => row >= 0));
  const rows = listRows(trace, { fold: params.fold === "services" ? "hops" : params.fold || "", closed, unfolded: new Set(), pathOnly: params.path === "1" });
  const shown = rows.slice(0, MOST_ROWS);
  const [from, to] = params.zoom ? params.zoom.split("~").map(Number) : [trace.from, trace.to];
  const x = (/** @type {number} */ us) => NAMES + Math.min(1, Math.max(0, (us - from) / (to - from))) * (WIDTH - NAMES - 90);
  const text = (/** @type {number} */ left, /** @type {number} */ top, /** @type {string} */ value, /** @type {string} */ more = "") =>
    `<text x="${left.toFixed(1)}" y="${top.toFixed(1)}" ${more}>${escape(value)}</text>`;
  const { request } = trace;
  const { verdict } = request;
  const isFailed = verdict.layer !== "none";
  const said = isFailed ? `${sayLayer(verdict.layer)} failed first: ${verdict.component} ${verdict.reason}` : verdict.reason ? `Answered well, but ${verdict.reason}` : "Nothing failed";
  const height = TOP + shown.length * ROW + 40;
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12" fill="${colour("text")}">`,
    `<rect width="${WIDTH}" height="${height}" fill="${colour("panel")}"/>`,
    text(16, 30, titleOf(trace), 'font-size="18" font-weight="600"'),
    text(16, 52, `${durationMs(request.duration_ms)} · status ${request.status ?? "none"} · ${request.state} · ${request.start} · ${request.id}`, `fill="${colour("dim")}"`),
    text(16, 74, said.slice(0, 160), `fill="${colour(isFailed ? "bad" : verdict.reason ? "warn" : "good")}"`),
  ];
  let left = 16;
  let next = 16;
  for (const phase of request.phases) {
    if (!(phase.duration_ms > 0)) continue;
    const label = `${PHASE_NAMES[phase.name] || phase.name} ${durationMs(phase.duration_ms)}`;
    parts.push(`<rect x="${next}" y="109" width="9" height="9" rx="2" fill="${colour(phaseLayer(phase.name))}"/>`, text(next + 13, 118, label, `fill="${colour("dim")}"`));
    next += 30 + label.length * 6.6;
    const width = ((WIDTH - 32) * phase.duration_ms) / (request.duration_ms || 1);
    parts.push(`<rect x="${left.toFixed(1)}" y="88" width="${width.toFixed(1)}" height="12" fill="${colour(phaseLayer(phase.name))}"/>`);
    left += width;
  }
  for (const tick of ticks(from, to, 6)) {
    parts.push(`<line x1="${x(tick).toFixed(1)}" x2="${x(tick).toFixed(1)}" y1="${TOP - 8}" y2="${height - 30}" stroke="${colour("line")}"/>`, text(x(tick) + 3, TOP - 10, duration(tick), `fill="${colour("dim")}" font-size="10"`));
  }
  shown.forEach(({ row, depth, sections, share }, index) => {
    const top = TOP + index * ROW;
    const fill = colour(trace.layers[row]);
    const [begin, end] = [trace.starts[row], trace.starts[row] + (trace.durations[row] || 0)];
    const indent = 16 + Math.min(depth, 18) * 9;
    const label = `${trace.services[row]} ${trace.names[row]}`;
    parts.push(text(indent, top + 14, label.length > 56 ? label.slice(0, 55) + "…" : label, trace.flags[row] & 2 ? `fill="${colour("bad")}"` : ""));
    if (share >= 0.005) parts.push(text(NAMES - 8, top + 14, percent(share), 'text-anchor="end" font-weight="600"'));
    if (end >= from && begin <= to) {
      parts.push(`<rect x="${x(begin).toFixed(1)}" y="${top + 5}" width="${Math.max(1, x(end) - x(begin)).toFixed(1)}" height="10" rx="2" fill="${fill}" opacity=".35"/>`);
      for (const section of sections) {
        if (section.to >= from && section.from <= to) parts.push(`<rect x="${x(section.from).toFixed(1)}" y="${top + 5}" width="${Math.max(1, x(section.to) - x(section.from)).toFixed(1)}" height="10" fill="${fill}"/>`);
      }
      parts.push(text(x(end) + 4, top + 14, duration(trace.durations[row]), `fill="${colour("dim")}" font-size="11"`));
    }
  });
  parts.push(text(16, height - 12, `${count(shown.length)} of ${count(trace.total)} spans shown. Solid: on the critical path. ${location.href}`.slice(0, 220), `fill="${colour("dim")}" font-size="10"`), "</svg>");
  return parts.join("\n");
}

/** @param {Trace} trace @param {Record<string, string>} params @returns {Promise<Blob>} */
async function drawPng(trace, params) {
  const image = new Image();
  image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(drawSvg(trace, params));
  await image.decode();
  const canvas = document.createElement("canvas");
  // Browsers draw at most some 16,000 pixels in a direction.
  const scale = Math.min(2, 16_000 / image.height);
  canvas.width = image.width * scale;
  canvas.height = image.height * scale;
  const pen = canvas.getContext("2d");
  if (!pen) throw new Error("this browser cannot draw");
  pen.scale(scale, scale);
  pen.drawImage(image, 0, 0);
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("this browser cannot draw"))), "image/png");
  });
}
