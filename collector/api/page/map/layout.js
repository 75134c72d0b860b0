// Where nodes and edges of the map go: who is asked first stands left.

import { graphlib, layout } from "../vendor/dagre/dagre.esm.js";

export const NODE = { width: 152, height: 48 };
/** Room for what stands at a line. */
const LABEL = { width: 52, height: 30 };
const MARGIN = 24;
const AROUND = 32;

/**
 * @typedef {{name: string, role: string, requests: number, requests_per_s: number, errors: number, error_ratio: number,
 *   p50_ms: number | null, p95_ms: number | null, inferred: boolean, api?: string | null, operation?: string | null}} Node
 * @typedef {{caller: string, callee: string, calls: number, calls_per_s: number, errors: number, error_ratio: number,
 *   p50_ms: number | null, p95_ms: number | null, p99_ms: number | null, proxy_ms: number | null, proxy_share: number | null,
 *   retries: number, retry_ratio: number, inferred: boolean, async: boolean, mirrored: boolean}} Edge
 * @typedef {{x: number, y: number}} Point
 * @typedef {{node: Node, x: number, y: number}} Placed
 * @typedef {{edge: Edge, path: string, x: number, y: number}} Drawn
 */

/**
 * @param {Node[]} nodes @param {Edge[]} edges between two of the nodes @param {boolean} isTall from top to bottom
 * @returns {{width: number, height: number, nodes: Placed[], edges: Drawn[]}} x and y are middles
 */
export function place(nodes, edges, isTall) {
  const graph = new graphlib.Graph();
  graph.setGraph({ rankdir: isTall ? "TB" : "LR", nodesep: 20, ranksep: isTall ? 24 : 30, edgesep: 14 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const node of nodes) graph.setNode(node.name, { ...NODE });
  for (const edge of edges) graph.setEdge(edge.caller, edge.callee, { ...LABEL, labelpos: "c" });
  layout(graph);
  const boxes = nodes.map((node) => /** @type {{x: number, y: number}} */ (/** @type {any} */ (graph.node(node.name))));
  const lines = edges.map((edge) => /** @type {{points: Point[], x: number, y: number}} */ (/** @type {any} */ (graph.edge(edge.caller, edge.callee))));
  // dagre's own size leaves out lines that lead around.
  const corners = [...boxes.flatMap((box) => around(box, NODE)), ...lines.flatMap((line) => [...around(line, LABEL), ...line.points])];
  const left = Math.min(...corners.map(({ x }) => x)) - MARGIN;
  const top = Math.min(...corners.map(({ y }) => y)) - MARGIN;
  const move = (/** @type {Point} */ { x, y }) => ({ x: x - left, y: y - top });
  return {
    width: Math.max(...corners.map(({ x }) => x)) + MARGIN - left,
    height: Math.max(...corners.map(({ y }) => y)) + MARGIN - top,
    nodes: nodes.map((node, at) => ({ node, ...move(boxes[at]) })),
    edges: edges.map((edge, at) => ({ edge, path: curve(lines[at].points.map(move)), ...move(lines[at]) })),
  };
}

/**
 * A line between two boxes that were placed without it.
 * @param {Edge} edge @param {Placed[]} nodes @returns {Drawn}
 */
export function bow(edge, nodes) {
  const [from, to] = [edge.caller, edge.callee].map((name) => /** @type {Placed} */ (nodes.find(({ node }) => node.name === name)));
  const x0 = from.x + NODE.width / 2;
  const isOnward = to.x - NODE.width / 2 > x0;
  const x1 = to.x + (isOnward ? -NODE.width : NODE.width) / 2;
  // What leads back, or down in one column, goes around at the right.
  const bend = isOnward ? (x0 + x1) / 2 : Math.max(x0, x1) + AROUND;
  return {
    edge, path: `M${x0} ${from.y}C${bend} ${from.y} ${bend} ${to.y} ${x1} ${to.y}`,
    x: isOnward ? bend : Math.max(x0, x1), y: (from.y + to.y) / 2,
  };
}

/** The corners of a box around a middle. @param {Point} middle @param {{width: number, height: number}} box @returns {Point[]} */
function around({ x, y }, { width, height }) {
  return [{ x: x - width / 2, y: y - height / 2 }, { x: x + width / 2, y: y + height / 2 }];
}

/** A smooth line through points. @param {{x: number, y: number}[]} points */
function curve(points) {
  const [first, ...rest] = points;
  let path = `M${first.x} ${first.y}`;
  for (let at = 0; at < rest.length - 1; at += 1) {
    const next = rest[at + 1];
    path += ` Q${rest[at].x} ${rest[at].y} ${(rest[at].x + next.x) / 2} ${(rest[at].y + next.y) / 2}`;
  }
  const last = rest[rest.length - 1];
  return path + ` L${last.x} ${last.y}`;
}
