// A timeline in memory: columns of all spans, which rows are shown, where the time went.
//
// Rows are numbers: a parent stands before its calls, so a branch is a run of rows.

import { layerOf } from "../layers.js";

/** The flags of a row; `view.py` adds them up. */
export const CRITICAL = 1;
export const FAILED = 2;
export const ORPHAN = 4;
export const INFERRED = 8;
export const ADJUSTED = 16;
export const EXCEPTION = 32;
export const LINKS = 64;

/**
 * One section of the critical path.
 * @typedef {{row: number, from: number, to: number}} Section
 */

/**
 * @typedef {{index: number, layer: string, service: string, row: number, parent: number,
 *   durationUs: number | null, criticalUs: number}} HopTime
 */

/** All rows of a timeline. Times are in microseconds from the request's start. */
export class Trace {
  /** @param {any} answer the answer of `/api/page/timeline` with row 0 */
  constructor(answer) {
    /** @type {any} the request as `/api/v1/requests/{id}` tells it, without spans and hops */
    this.request = answer.request;
    /** @type {number} */
    this.total = answer.spans.total;
    /** @type {string[]} */
    this.ids = [];
    /** @type {number[]} */
    this.parents = [];
    /** @type {number[]} */
    this.depths = [];
    /** @type {number[]} */
    this.hops = [];
    /** @type {string[]} */
    this.layers = [];
    /** @type {string[]} */
    this.roles = [];
    /** @type {string[]} */
    this.services = [];
    /** @type {string[]} */
    this.names = [];
    /** @type {number[]} */
    this.starts = [];
    /** @type {(number | null)[]} */
    this.durations = [];
    /** @type {(number | null)[]} */
    this.selves = [];
    /** @type {number[]} */
    this.flags = [];
    /** the row behind the last one of the branch that begins at a row @type {number[]} */
    this.ends = [];
    /** @type {Map<string, number>} */
    this.rowsById = new Map();
    /** @type {Map<number, [number, boolean][]>} moments of a row: where, and whether it is an exception */
    this.marks = new Map();
    /** @type {Section[]} */
    this.sections = answer.sections.map((/** @type {number[]} */ [row, from, to]) => ({ row, from, to }));
    /** time on the critical path by row @type {Map<number, number>} */
    this.critical = new Map();
    for (const { row, from, to } of this.sections) {
      this.critical.set(row, (this.critical.get(row) || 0) + to - from);
    }
    /** @type {Map<number, Section[]>} */
    this.sectionsOf = new Map();
    for (const section of this.sections) {
      const own = this.sectionsOf.get(section.row);
      if (own) own.push(section);
      else this.sectionsOf.set(section.row, [section]);
    }
    this.from = 0;
    this.to = Math.max(1, (this.request.duration_ms || 0) * 1_000);
    /** @type {HopTime[]} */
    this.hopTimes = readHops(answer);
    /** @type {Record<string, {attempt: number, attempts: number, notes: string[]}>} */
    this.hopFacts = answer.hops.facts;
    this.add(answer);
  }

  /** Add a further page of rows. @param {any} answer */
  add(answer) {
    const { spans, texts } = answer;
    for (let at = 0; at < spans.span_id.length; at += 1) {
      const row = this.ids.length;
      this.ids.push(spans.span_id[at]);
      this.parents.push(spans.parent[at]);
      this.depths.push(spans.depth[at]);
      this.hops.push(spans.hop[at]);
      const role = texts[spans.role[at]];
      this.roles.push(role);
      this.layers.push(layerOf(role));
      this.services.push(texts[spans.service[at]]);
      this.names.push(texts[spans.name[at]]);
      this.starts.push(spans.start_us[at]);
      this.durations.push(spans.duration_us[at]);
      this.selves.push(spans.self_us[at]);
      this.flags.push(spans.flags[at]);
      this.rowsById.set(spans.span_id[at], row);
      this.from = Math.min(this.from, spans.start_us[at]);
      this.to = Math.max(this.to, spans.start_us[at] + (spans.duration_us[at] || 0));
    }
    for (const [row, at, isException] of answer.marks) {
      const own = this.marks.get(row);
      if (own) own.push([at, Boolean(isException)]);
      else this.marks.set(row, [[at, Boolean(isException)]]);
    }
    this.measureBranches();
  }

  get loaded() { return this.ids.length; }

  measureBranches() {
    this.ends = this.ids.map((_, row) => row + 1);
    for (let row = this.ids.length - 1; row >= 0; row -= 1) {
      const parent = this.parents[row];
      if (parent >= 0) this.ends[parent] = Math.max(this.ends[parent], this.ends[row]);
    }
  }

  /** @param {number} row */
  hasCalls(row) { return this.ends[row] > row + 1; }

  /** Share of the request that this row held up itself. @param {number} row */
  share(row) {
    const whole = (this.request.duration_ms || 0) * 1_000;
    return whole > 0 ? (this.critical.get(row) || 0) / whole : 0;
  }

  /** Share of the request that this row and all below it held up. @param {number} row */
  branchShare(row) {
    let sum = 0;
    for (const { row: each, from, to } of this.sections) {
      if (each >= row && each < this.ends[row]) sum += to - from;
    }
    const whole = (this.request.duration_ms || 0) * 1_000;
    return whole > 0 ? sum / whole : 0;
  }

  /** The hops that held the answer up, the longest first. */
  slowest() {
    return this.hopTimes.filter((hop) => hop.criticalUs > 0)
      .sort((a, b) => b.criticalUs - a.criticalUs);
  }

  /** The row that held the answer up longest, -1 if none is known. */
  slowestRow() {
    let best = -1;
    for (const [row, us] of this.critical) {
      if (best < 0 || us > (this.critical.get(best) || 0)) best = row;
    }
    return best;
  }

  /** Rows whose service, name or id holds *text*. @param {string} text @returns {number[]} */
  find(text) {
    const wanted = text.trim().toLowerCase();
    if (!wanted) return [];
    const found = [];
    for (let row = 0; row < this.ids.length; row += 1) {
      if (this.services[row].toLowerCase().includes(wanted)
        || this.names[row].toLowerCase().includes(wanted) || this.ids[row].includes(wanted)) found.push(row);
    }
    return found;
  }

  /** The row of a reference: a span id, or `<trace id>/<span id>`. @param {string} ref */
  rowOf(ref) {
    const row = this.rowsById.get(ref) ?? this.rowsById.get(ref.split("/").pop() || "");
    return row === undefined ? -1 : row;
  }
}

/** @param {any} answer @returns {HopTime[]} */
function readHops({ hops, texts }) {
  return hops.role.map((/** @type {number} */ role, /** @type {number} */ index) => ({
    index,
    layer: layerOf(texts[role]),
    service: texts[hops.service[index]],
    row: hops.row[index],
    parent: hops.parent[index],
    durationUs: hops.duration_us[index],
    criticalUs: hops.critical_us[index] || 0,
  }));
}

/**
 * What is hidden: `closed` branches; with fold "hops" what lies inside a hop that is not in
 * `unfolded`; with `pathOnly` whatever the critical path does not touch.
 * @typedef {{fold: string, closed: ReadonlySet<number>, unfolded: ReadonlySet<number>, pathOnly: boolean}} Folding
 */

/**
 * One row as it is shown. `hidden` counts the rows that stand behind it; `sections` and `share` of
 * the critical path are its own and theirs.
 * @typedef {{row: number, depth: number, hasCaret: boolean, isClosed: boolean, hidden: number,
 *   sections: Section[], share: number}} Shown
 */

/**
 * Return the rows that are shown, in order.
 * @param {Trace} trace @param {Folding} folding @returns {Shown[]}
 */
export function listRows(trace, folding) {
  const whole = (trace.request.duration_ms || 0) * 1_000;
  const onPath = folding.pathOnly ? touchedByPath(trace) : null;
  /** @type {Int32Array} the shown row that stands for each row, -1: none */
  const standIn = new Int32Array(trace.loaded).fill(-1);
  /** @type {Shown[]} */
  const shown = [];
  const places = new Int32Array(trace.loaded);
  for (let row = 0; row < trace.loaded; row += 1) {
    const parent = trace.parents[row];
    const above = parent >= 0 ? standIn[parent] : -1;
    const isFolded = parent >= 0 && above >= 0 && folding.fold === "hops"
      && trace.hops[row] === trace.hops[parent] && !folding.unfolded.has(trace.hops[row]);
    const isHidden = isFolded || (onPath !== null && !onPath[row])
      || (above >= 0 && folding.closed.has(above));
    if (isHidden) {
      standIn[row] = above;
      if (above >= 0) shown[places[above]].hidden += 1;
      continue;
    }
    standIn[row] = row;
    places[row] = shown.length;
    shown.push({
      row,
      depth: above >= 0 ? shown[places[above]].depth + 1 : 0,
      hasCaret: folding.closed.has(row) && trace.hasCalls(row),
      isClosed: folding.closed.has(row) && trace.hasCalls(row),
      hidden: 0,
      sections: [],
      share: 0,
    });
    if (above >= 0) shown[places[above]].hasCaret = true;
  }
  for (const section of trace.sections) {
    const row = section.row < trace.loaded ? standIn[section.row] : -1;
    if (row < 0) continue;
    const entry = shown[places[row]];
    entry.sections.push(section);
    if (whole > 0) entry.share += (section.to - section.from) / whole;
  }
  return shown;
}

/** @param {Trace} trace @returns {boolean[]} whether the critical path runs through a row's branch */
function touchedByPath(trace) {
  const touched = trace.flags.map((flags) => (flags & CRITICAL) !== 0);
  for (let row = trace.loaded - 1; row >= 0; row -= 1) {
    if (touched[row] && trace.parents[row] >= 0) touched[trace.parents[row]] = true;
  }
  return touched;
}

/**
 * All visits to one service on one line: how often, when, and how long it held the answer up.
 * @typedef {{service: string, layer: string, visits: number, failed: number, row: number,
 *   spans: [number, number][], sections: Section[], share: number, busyUs: number}} ServiceLine
 */

/** @param {Trace} trace @returns {ServiceLine[]} the longest on the critical path first */
export function listServices(trace) {
  const whole = (trace.request.duration_ms || 0) * 1_000;
  /** @type {Map<string, ServiceLine>} */
  const lines = new Map();
  /** @type {(ServiceLine | undefined)[]} */
  const byHop = trace.hopTimes.map((hop) => {
    if (hop.row < 0) return undefined;
    let line = lines.get(hop.service);
    if (!line) {
      line = { service: hop.service, layer: hop.layer, visits: 0, failed: 0, row: hop.row,
        spans: [], sections: [], share: 0, busyUs: 0 };
      lines.set(hop.service, line);
    }
    line.visits += 1;
    if (hop.row < trace.loaded) {
      const start = trace.starts[hop.row];
      line.spans.push([start, start + (hop.durationUs || 0)]);
      if (trace.flags[hop.row] & FAILED) line.failed += 1;
    }
    return line;
  });
  for (const section of trace.sections) {
    const line = byHop[trace.hops[section.row]];
    if (!line) continue;
    line.sections.push(section);
    if (whole > 0) line.share += (section.to - section.from) / whole;
  }
  for (const line of lines.values()) {
    line.spans = union(line.spans);
    line.busyUs = line.spans.reduce((sum, [from, to]) => sum + to - from, 0);
  }
  return [...lines.values()].sort((a, b) => b.share - a.share || b.busyUs - a.busyUs);
}

/** @param {[number, number][]} spans @returns {[number, number][]} */
function union(spans) {
  /** @type {[number, number][]} */
  const merged = [];
  for (const [from, to] of [...spans].sort((a, b) => a[0] - b[0])) {
    const last = merged[merged.length - 1];
    if (last && from <= last[1]) last[1] = Math.max(last[1], to);
    else merged.push([from, to]);
  }
  return merged;
}

/**
 * Return round moments to draw lines at, about *wanted* of them.
 * @param {number} from @param {number} to @param {number} wanted @returns {number[]}
 */
export function ticks(from, to, wanted) {
  const rough = Math.max((to - from) / Math.max(1, wanted), 1e-6);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough) || rough;
  const found = [];
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) found.push(Math.round(at * 1e3) / 1e3);
  return found;
}

/** What a request is called: what its record asked for, else its first span. @param {Trace} trace */
export function titleOf(trace) {
  const record = trace.request.gateway_records[0];
  const what = record ? [record.method, record.path || record.route].filter(Boolean).join(" ") : "";
  return what || trace.names[0] || trace.request.id;
}
