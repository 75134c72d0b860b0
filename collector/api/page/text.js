// Values as people read them: times, durations, counts, and texts in which nothing hides.

import { now } from "./ask.js";
import { html } from "./html.js";

/** Characters that act instead of being seen: controls, invisible ones, direction overrides. */
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202f\u205f-\u206f\u3164\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/gu;
const NAMES = /** @type {Record<string, string>} */ ({
  "\n": "↵", "\t": "⇥", "\r": "CR", "\0": "NUL", "\u001b": "ESC",
});

/** @param {string} character */
function nameOf(character) {
  const code = character.codePointAt(0) || 0;
  return NAMES[character] || "U+" + code.toString(16).toUpperCase().padStart(4, "0");
}

/**
 * Return *text* with every unseen character named, for titles and files.
 * @param {unknown} text
 */
export function plain(text) {
  return String(text ?? "").replace(UNSEEN, (character) => `⟨${nameOf(character)}⟩`);
}

/**
 * A text from outside: isolated from the direction of its surroundings, unseen characters named.
 * @param {{children?: any, class?: string}} props
 */
export function Text({ children, class: name = "" }) {
  const text = Array.isArray(children) ? children.join("") : String(children ?? "");
  const parts = [];
  let end = 0;
  for (const found of text.matchAll(UNSEEN)) {
    parts.push(text.slice(end, found.index));
    parts.push(html`<span class="unseen" title=${"character " + nameOf(found[0])}>${nameOf(found[0])}</span>`);
    end = found.index + found[0].length;
  }
  parts.push(text.slice(end));
  return html`<bdi class=${name}>${parts}</bdi>`;
}

/**
 * Return a duration with three digits that count and its unit.
 * @param {number | null | undefined} us microseconds
 */
export function duration(us) {
  if (us === null || us === undefined) return "–";
  const size = Math.abs(us);
  if (size === 0) return "0 ms";
  if (size < 1_000) return digits(us) + " µs";
  if (size < 999_500) return digits(us / 1_000) + " ms";
  if (size < 59_995_000) return digits(us / 1_000_000) + " s";
  const minutes = Math.trunc(us / 60_000_000);
  if (size < 3_600_000_000) {
    return `${minutes} min ${String(Math.round(Math.abs(us) / 1_000_000) % 60).padStart(2, "0")} s`;
  }
  return `${Math.trunc(minutes / 60)} h ${String(Math.abs(minutes) % 60).padStart(2, "0")} min`;
}

/** @param {number | null | undefined} ms milliseconds, as the API gives them */
export function durationMs(ms) {
  return duration(ms === null || ms === undefined ? ms : ms * 1_000);
}

/** @param {number} value */
function digits(value) {
  const size = Math.abs(value);
  return value.toFixed(size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2);
}

/** @param {number | null | undefined} ratio 0 to 1 */
export function percent(ratio) {
  if (ratio === null || ratio === undefined) return "–";
  const value = ratio * 100;
  if (value === 0 || value >= 99.95) return Math.round(value) + " %";
  return (value < 0.1 ? "< 0.1" : value < 10 ? value.toFixed(1) : value.toFixed(0)) + " %";
}

/** @param {number | null | undefined} value */
export function count(value) {
  return value === null || value === undefined ? "–" : value.toLocaleString("en-US");
}

const SIZES = ["B", "kB", "MB", "GB", "TB", "PB"];

/** @param {number | null | undefined} value */
export function bytes(value) {
  if (value === null || value === undefined) return "–";
  const step = value < 1_000 ? 0 : Math.min(SIZES.length - 1, Math.floor(Math.log10(value) / 3));
  return (step ? digits(value / 1_000 ** step) : Math.round(value)) + " " + SIZES[step];
}

/** A rate with the digits that count. @param {number} perSecond */
export function rate(perSecond) {
  if (perSecond === 0) return "0";
  return perSecond >= 10 ? perSecond.toFixed(0) : perSecond >= 0.1 ? perSecond.toFixed(1) : perSecond.toPrecision(1);
}

/** @param {number} number @param {string} one @param {string} [many] */
export function plural(number, one, many = one + "s") {
  return count(number) + " " + (number === 1 ? one : many);
}

/**
 * Return a table in Markdown, in which no value ends its cell or becomes markup.
 * @param {string[]} head @param {unknown[][]} rows
 */
export function markdownTable(head, rows) {
  const line = (/** @type {unknown[]} */ cells) => `| ${cells.map(markdown).join(" | ")} |`;
  return [line(head), `|${"---|".repeat(head.length)}`, ...rows.map(line)].join("\n");
}

/** A text from outside as Markdown shows it unchanged. @param {unknown} text */
export function markdown(text) {
  return plain(text).replace(/[\\`*[\]<>|~]/g, "\\$&");
}

/** @typedef {{utc: boolean}} Zone */

/**
 * Return the day and the clock of a moment.
 * @param {string | number | Date} moment
 * @param {Zone} zone
 * @returns {{day: string, clock: string, ms: string}}
 */
export function split(moment, zone) {
  const date = new Date(moment);
  const shifted = zone.utc ? date : new Date(date.getTime() - date.getTimezoneOffset() * 60_000);
  const text = Number.isNaN(shifted.getTime()) ? "" : shifted.toISOString();
  return { day: text.slice(0, 10), clock: text.slice(11, 19), ms: text.slice(19, 23) };
}

/**
 * Return a moment to the millisecond, without the day if that is today's.
 * @param {string | number | Date} moment
 * @param {Zone} zone
 */
export function clock(moment, zone) {
  const { day, clock: time, ms } = split(moment, zone);
  return (day === split(now(), zone).day ? "" : day + " ") + time + ms;
}

/** The name of the zone that times are shown in. @param {Zone} zone */
export function zoneName(zone) {
  if (zone.utc) return "UTC";
  const minutes = -new Date().getTimezoneOffset();
  if (minutes === 0) return "UTC";
  const size = Math.abs(minutes);
  const hours = String(Math.trunc(size / 60)).padStart(2, "0");
  return `UTC${minutes < 0 ? "−" : "+"}${hours}:${String(size % 60).padStart(2, "0")}`;
}

/** How long ago a moment is, in its largest unit. @param {string | number | Date} moment */
export function ago(moment) {
  const s = (now() - new Date(moment).getTime()) / 1_000;
  if (Number.isNaN(s)) return "";
  if (s < -1) return "in the future";
  if (s < 60) return `${Math.max(0, Math.round(s))} s ago`;
  if (s < 3_600) return `${Math.round(s / 60)} min ago`;
  if (s < 172_800) return `${Math.round(s / 3_600)} h ago`;
  return `${Math.round(s / 86_400)} days ago`;
}
