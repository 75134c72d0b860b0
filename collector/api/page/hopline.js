// Search, list, one timeline. Every value from the API becomes a text node, never markup.
"use strict";

const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const ROW = 20, LABEL = 330, NUMBERS = 150, BAR = 620, TOP = 22;
let nextCursor = "", query = "", asked = 0;

function make(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}
function draw(name, attributes = {}, text = null) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== null) node.textContent = text;
  return node;
}
const ms = (value) => value === null || value === undefined ? ""
  : value.toFixed(value >= 100 ? 1 : value >= 0.1 || value === 0 ? 2 : 3);
const shorten = (text, length) => text.length > length ? text.slice(0, length - 1) + "…" : text;

async function get(path) {
  const token = sessionStorage.getItem("hopline-token");
  const answer = await fetch(path, token ? { headers: { Authorization: "Bearer " + token } } : {});
  $("token-form").hidden = answer.status !== 401;
  let body = null;
  try { body = await answer.json(); } catch { body = null; }
  if (answer.ok && body) return body;
  const error = body && body.error ? body.error : { message: "HTTP " + answer.status, hint: "" };
  throw new Error(error.hint ? error.message + " (" + error.hint + ")" : error.message);
}

async function search(isMore) {
  const turn = ++asked;
  const cells = $("list").tBodies[0];
  if (!isMore) {
    const filled = [...new FormData($("filters"))].filter(([, value]) => value.trim());
    query = new URLSearchParams(filled).toString();
    nextCursor = "";
  }
  $("note").textContent = "searching …";
  try {
    const cursor = isMore ? "&cursor=" + encodeURIComponent(nextCursor) : "";
    const found = await get("api/v1/requests?" + query + cursor);
    if (turn !== asked) return;
    if (!isMore) cells.replaceChildren();
    cells.append(...found.requests.map(summaryRow));
    nextCursor = found.next_cursor || "";
    const count = cells.rows.length + " requests" + (nextCursor ? " so far" : "");
    $("note").textContent = [count, found.note].filter(Boolean).join(". ");
  } catch (error) {
    if (turn === asked) $("note").textContent = error.message;
  }
  $("list").hidden = cells.rows.length === 0;
  $("more").hidden = !nextCursor;
}

function summaryRow(item) {
  const link = make("a", { href: "#" + encodeURIComponent(item.id) });
  link.textContent = [item.method, item.route || item.operation].filter(Boolean).join(" ") || item.id;
  const verdict = typeof item.verdict === "string" ? item.verdict : (item.verdict || {}).layer || "";
  const texts = [item.start.replace("T", " ").slice(0, 23), link, item.api || "", item.status ?? "",
    ms(item.duration_ms), ms(item.backend_ms), ms(item.unexplained_ms), item.hops ?? "",
    (item.state || "") + (item.joined ? "" : ", not joined"), verdict === "none" ? "" : verdict];
  return make("tr", {}, ...texts.map((text, index) => {
    const numeric = index >= 3 && index <= 7 ? "n" : "";
    return make("td", { class: numeric + (index === 3 && item.error ? " bad" : "") }, text);
  }));
}

async function show(id) {
  const turn = ++asked;
  const page = $("timeline");
  $("search").hidden = true;
  page.hidden = false;
  page.replaceChildren(make("p", { class: "dim" }, "loading …"));
  try {
    const timeline = await get("api/v1/requests/" + encodeURIComponent(id));
    if (turn === asked) page.replaceChildren(...timelineParts(timeline));
  } catch (error) {
    if (turn === asked) page.replaceChildren(make("p", { class: "bad" }, error.message));
  }
}

// The same that `hopline explain` names in its headline.
const TOLD_ATTRIBUTES = [
  ["gen_ai.request.model", "model"], ["gen_ai.usage.total_tokens", "tokens"],
  ["graphql.operation.name", "graphql"], ["rpc.grpc.status_code", "grpc status"],
  ["grpc.status", "grpc status"],
];

function timelineParts(t) {
  const record = t.gateway_records[0] || {};
  const what = [record.method, record.path || record.route].filter(Boolean).join(" ");
  const facts = [record.gateway, record.api, record.operation, record.consumer].filter(Boolean);
  for (const [name, label] of TOLD_ATTRIBUTES) {
    const value = (record.attributes || {})[name];
    if (value) facts.push(label + " " + value);
  }
  const verdict = t.verdict || { layer: "none" };
  const who = [verdict.layer, verdict.component, verdict.class].filter(Boolean).join(" · ");
  const failed = (record.is_error || t.status >= 500) ? "bad" : "";
  return [
    make("p", {}, make("a", { href: "#" }, "← search")),
    make("h2", {}, what || (t.spans[0] || {}).name || t.id),
    make("p", { class: "facts" }, make("span", { class: "total" }, t.duration_ms === null ? "unknown duration " : ms(t.duration_ms) + " ms "),
      make("span", { class: failed }, t.status === null ? "" : "status " + t.status)),
    make("p", { class: "facts dim" }, facts.join(" · ")),
    make("p", { class: "facts dim mono" }, t.start + "  trace " + (t.trace_id || "none") + "  " + t.state),
    ...(t.ids || []).map((id) => make("p", { class: "facts dim mono" }, id.kind + " " + id.value)),
    make("div", { class: "verdict " + (verdict.layer === "none" ? "none" : "") },
      make("strong", {}, verdict.layer === "none" ? "nothing failed" : who), " ", verdict.reason || ""),
    make("h2", {}, "Where the time went"), make("div", { class: "scroll" }, phasesPicture(t)),
    make("h2", {}, "Waterfall"), make("div", { class: "scroll" }, waterfall(t)),
    ...listed("Events", eventsOf(t), (e) => e.join(" ")),
    ...listed("Linked requests", t.links_to, (l) => l.trace_id + " span " + l.span_id),
    ...listed("How it was joined", t.links, (l) => l.from + " → " + l.to + ": tier " + l.tier + ", "
      + (l.evidence || []).map((e) => e.field + " " + e.left + " = " + e.right).join("; ")),
    ...listed("Findings", t.findings, (f) => f.title + ": " + f.message + (f.fix ? " Fix: " + f.fix : "")),
    ...listed("What is missing", (t.expected || []).filter((e) => e.status !== "arrived"),
      (e) => e.source + ": " + e.status + (e.deadline ? ", expected until " + e.deadline : "")),
  ];
}

function eventsOf(t) {
  const shown = (span, e) => [span.service, e.name,
    ...Object.entries(e.attributes || {}).map(([key, value]) => key + " = " + shorten(String(value), 500))];
  return t.spans.flatMap((span) => (span.events || []).map((e) => shown(span, e))).slice(0, 50);
}

function listed(title, items, text) {
  if (!items || !items.length) return [];
  const rows = items.map((item) => make("li", { class: "mono" }, text(item)));
  return [make("h2", {}, title), make("ul", {}, ...rows)];
}

function phasesPicture(t) {
  const total = t.duration_ms || 1;
  const picture = draw("svg", { width: LABEL + NUMBERS + BAR + 10, height: t.phases.length * ROW + 4,
    role: "img", "aria-label": "time by phase" });
  let at = 0;
  t.phases.forEach((phase, index) => {
    const y = index * ROW;
    picture.append(draw("text", { x: 0, y: y + 14 }, phase.name));
    picture.append(draw("text", { x: LABEL + 70, y: y + 14, "text-anchor": "end" }, ms(phase.duration_ms)));
    const share = (100 * phase.duration_ms / total).toFixed(1) + " %";
    picture.append(draw("text", { x: LABEL + 140, y: y + 14, "text-anchor": "end", class: "dim" }, share));
    const width = Math.max(1, BAR * phase.duration_ms / total);
    const bar = draw("rect", { x: LABEL + NUMBERS + BAR * at / total, y: y + 4, width, height: 12, class: phase.name });
    bar.append(draw("title", {}, phase.source || ""));
    picture.append(bar);
    at += phase.duration_ms;
  });
  return picture;
}

function ordered(spans) {
  const ids = new Set(spans.map((span) => span.span_id));
  const children = new Map();
  for (const span of spans) {
    const parent = ids.has(span.parent_span_id) && span.parent_span_id !== span.span_id ? span.parent_span_id : "";
    if (!children.has(parent)) children.set(parent, []);
    children.get(parent).push(span);
  }
  for (const group of children.values()) group.sort((a, b) => b.start_offset_ms - a.start_offset_ms);
  const rows = [], seen = new Set();
  const stack = (children.get("") || []).map((span) => [span, 0]);
  while (stack.length) {
    const [span, depth] = stack.pop();
    if (seen.has(span)) continue;
    seen.add(span);
    rows.push([span, depth]);
    for (const child of children.get(span.span_id) || []) stack.push([child, depth + 1]);
  }
  return rows.concat(spans.filter((span) => !seen.has(span)).map((span) => [span, 0]));
}

function waterfall(t) {
  const rows = ordered(t.spans).slice(0, 1000);
  const end = Math.max(t.duration_ms, ...rows.map(([s]) => s.start_offset_ms + s.duration_ms), 0.001);
  const first = Math.min(0, ...rows.map(([s]) => s.start_offset_ms));
  const scale = (value) => LABEL + NUMBERS + BAR * (value - first) / (end - first);
  const picture = draw("svg", { width: LABEL + NUMBERS + BAR + 10, height: rows.length * ROW + TOP + 4,
    role: "img", "aria-label": "waterfall of " + rows.length + " spans" });
  for (let quarter = 0; quarter <= 4; quarter++) {
    const value = first + (end - first) * quarter / 4, x = scale(value);
    picture.append(draw("line", { x1: x, x2: x, y1: TOP - 6, y2: rows.length * ROW + TOP, class: "grid" }));
    picture.append(draw("text", { x, y: 12, class: "dim", "text-anchor": quarter === 4 ? "end" : "start" }, ms(value) + " ms"));
  }
  picture.append(draw("text", { x: LABEL + 70, y: 12, "text-anchor": "end", class: "dim" }, "total ms"));
  picture.append(draw("text", { x: LABEL + 140, y: 12, "text-anchor": "end", class: "dim" }, "self ms"));
  const path = new Map();
  for (const part of t.critical_path) {
    if (!path.has(part.span_id)) path.set(part.span_id, []);
    path.get(part.span_id).push(part);
  }
  rows.forEach(([span, depth], index) => picture.append(spanRow(span, depth, index * ROW + TOP, scale, path)));
  return picture;
}

function spanRow(span, depth, y, scale, path) {
  const row = draw("g", { class: "row" });
  const failed = span.status === "error";
  const label = shorten(span.service + " " + span.name, Math.max(12, 50 - 2 * depth));
  const sort = span.role || "unknown";
  row.append(draw("rect", { x: 0, y, width: LABEL + NUMBERS + BAR, height: ROW, class: "back" }));
  row.append(draw("text", { x: Math.min(depth, 14) * 10, y: y + 14, class: failed ? "bad" : "" }, label));
  row.append(draw("text", { x: LABEL + 70, y: y + 14, "text-anchor": "end" }, ms(span.duration_ms)));
  row.append(draw("text", { x: LABEL + 140, y: y + 14, "text-anchor": "end", class: "dim" }, ms(span.self_ms)));
  const box = (from, to, off) => draw("rect", { x: scale(from), y: y + 4, height: 12,
    width: Math.max(1, scale(to) - scale(from)), class: sort + (off ? " off" : "") });
  row.append(box(span.start_offset_ms, span.start_offset_ms + span.duration_ms, true));
  for (const part of path.get(span.span_id) || []) row.append(box(part.from_ms, part.to_ms, false));
  const details = [span.service + " " + span.name, sort, span.duration_ms === null ? "unknown duration" : "total " + ms(span.duration_ms) + " ms, self " + ms(span.self_ms) + " ms"];
  if (span.adjusted_by_ms) details.push("clock adjusted by " + ms(span.adjusted_by_ms) + " ms");
  if (span.orphan) details.push("its parent never arrived");
  for (const [key, value] of Object.entries(span.attributes || {}).slice(0, 40)) details.push(key + " = " + shorten(String(value), 200));
  row.append(draw("title", {}, details.join("\n")));
  return row;
}

function follow() {
  let id = "";
  try { id = decodeURIComponent(location.hash.slice(1)); } catch { id = location.hash.slice(1); }
  if (id) { $("id").value = id; show(id); return; }
  $("timeline").hidden = true;
  $("search").hidden = false;
  search(false);
}
$("lookup").addEventListener("submit", (event) => {
  event.preventDefault();
  const id = $("id").value.trim();
  if (id && decodeURIComponent(location.hash.slice(1)) === id) show(id);
  else location.hash = encodeURIComponent(id);
});
$("filters").addEventListener("submit", (event) => { event.preventDefault(); search(false); });
$("more").addEventListener("click", () => search(true));
$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("hopline-token", $("token").value.trim());
  follow();
});
window.addEventListener("hashchange", follow);
follow();
