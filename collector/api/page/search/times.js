// The time picker: how far back, or from when to when; in the address as the API takes it.

import { change } from "../address.js";
import { now } from "../ask.js";
import { DEFAULT_START } from "../early.js";
import { html, useEffect, useRef, useState } from "../html.js";
import { Icon } from "../parts/icons.js";
import { usePopup } from "../parts/popup.js";
import { useZone } from "../shell.js";
import { clock, split, zoneName } from "../text.js";

const PRESETS = [["-15m", "15 min"], ["-1h", "1 h"], ["-6h", "6 h"], ["-1d", "24 h"], ["-7d", "7 days"]];
const LENGTHS = /** @type {Record<string, number>} */ ({ s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 });

/**
 * The range that the address asks for, in Unix ms.
 * @param {Record<string, string>} params
 * @returns {{from: number, to: number, isRelative: boolean}}
 */
export function readRange(params) {
  const to = moment(params.end || "now", now());
  const from = moment(params.start || DEFAULT_START, now());
  return { from, to, isRelative: !params.end || params.end === "now" };
}

/** @param {string} text @param {number} at what is now, Unix ms */
function moment(text, at) {
  const relative = /^-(\d+)([smhd])$/.exec(text);
  if (relative) return at - Number(relative[1]) * LENGTHS[relative[2]];
  if (text === "now") return at;
  if (/^\d{10}$/.test(text)) return Number(text) * 1_000;
  if (/^\d{13}$/.test(text)) return Number(text);
  return new Date(text).getTime();
}

/** @param {{params: Record<string, string>, again: () => void}} props */
export function Times({ params, again }) {
  const zone = useZone();
  const { isOpen, turn, close, box, opener } = usePopup();
  const { from, to, isRelative } = readRange(params);
  const preset = isRelative ? PRESETS.find(([value]) => value === (params.start || DEFAULT_START)) : undefined;
  const use = (/** @type {string} */ start) => change({ start: start === DEFAULT_START ? "" : start, end: "", cursor: "" }, { step: true });
  const shift = (/** @type {number} */ by) => change({
    start: new Date(from + by * (to - from)).toISOString(), end: new Date(to + by * (to - from)).toISOString(), cursor: "",
  }, { step: true });
  return html`<div class="times" ref=${box}>
    <div class="segments" role="group" aria-label="How far back">${PRESETS.map(([value, label]) => html`
      <button type="button" aria-pressed=${preset !== undefined && preset[0] === value} onClick=${() => use(value)}>${label}</button>`)}
      <button type="button" aria-pressed=${!preset} aria-expanded=${isOpen} ref=${opener} onClick=${turn}>${preset ? "From – to" : `${clock(from, zone).slice(0, -4)} – ${isRelative ? "now" : clock(to, zone).slice(0, -4)}`}</button></div>
    <button type="button" class="button bare" aria-label="Earlier" title="Earlier" onClick=${() => shift(-1)}><${Icon} name="back" /></button>
    <button type="button" class="button bare" aria-label="Later" title="Later" disabled=${isRelative} onClick=${() => shift(1)}><${Icon} name="forward" /></button>
    <button type="button" class="button bare" aria-label="Ask again" title="Ask again" onClick=${again}><${Icon} name="again" /></button>
    ${isOpen && html`<${Absolute} from=${from} to=${to} close=${close} />`}
  </div>`;
}

/** @param {{from: number, to: number, close: () => void}} props */
function Absolute({ from, to, close }) {
  const zone = useZone();
  const first = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => { if (first.current) first.current.focus(); }, []);
  const field = (/** @type {number} */ at) => { const { day, clock: time } = split(at, zone); return `${day}T${time}`; };
  const [begin, setBegin] = useState(field(from));
  const [end, setEnd] = useState(field(to));
  const read = (/** @type {string} */ text) => new Date(zone.utc ? text + "Z" : text);
  const isWrong = !(read(begin) < read(end));
  const use = (/** @type {Event} */ event) => {
    event.preventDefault();
    if (isWrong) return;
    change({ start: read(begin).toISOString(), end: read(end).toISOString(), cursor: "" }, { step: true });
    close();
  };
  return html`<form class="popover" onSubmit=${use}>
    <label>From <input class="input" ref=${first} type="datetime-local" step="1" value=${begin} onInput=${(/** @type {any} */ event) => setBegin(event.target.value)} /></label>
    <label>To <input class="input" type="datetime-local" step="1" value=${end} onInput=${(/** @type {any} */ event) => setEnd(event.target.value)} /></label>
    <p class="quiet">${isWrong ? "The end is not after the start." : `Times in ${zoneName(zone)}`}</p>
    <button class="button strong" disabled=${isWrong}>Search this time</button></form>`;
}
