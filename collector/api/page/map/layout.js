// Where nodes and edges of the map go: who is asked first stands left.

import { graphlib, layout } from "../vendor/dagre/dagre.esm.js";

export const NODE = { width: 152, height: 48 };
const MARGIN = 12;

/**
 * @typedef {{name: string, role: string, requests: number, requests_per_s: number, errors: number, error_ratio: number,
 *   p50_ms: number | null, p95_ms: number | null, inferred: boolean, api?: string | null, operation?: string | null}} Node
 * @typedef {{caller: string, callee: string, calls: number, calls_per_s: number, errors: number, error_ratio: number,
 *   p50_ms: number | null, p95_ms: number | null, p99_ms: number | null, proxy_ms: number | null, proxy_share: number | null,
 *   retries: number, retry_ratio: number, inferred: boolean, async: boolean, mirrored: boolean}} Edge
 * @typedef {{node: Node, x: number, y: number}} Placed
 * @typedef {{edge: Edge, path: string, x: number, y: number}} Drawn
 */

/**
 * @param {Node[]} nodes @param {Edge[]} edges between two of the nodes
 * @returns {{width: number, height: number, nodes: Placed[], edges: Drawn[]}} x and y are middles
 */
export function place(nodes, edges) {
  const graph = new graphlib.Graph();
  graph.setGraph({ rankdir: "LR", nodesep: 20, ranksep: 66, edgesep: 14, marginx: MARGIN, marginy: MARGIN });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const node of nodes) graph.setNode(node.name, { ...NODE });
  for (const edge of edges) graph.setEdge(edge.caller, edge.callee, {});
  layout(graph);
  const { width, height } = /** @type {any} */ (graph.graph());
  return {
    width: width || 0,
    height: height || 0,
    nodes: nodes.map((node) => ({ node, .../** @type {any} */ (graph.node(node.name)) })),
    edges: edges.map((edge) => {
      const { points } = /** @type {{points: {x: number, y: number}[]}} */ (/** @type {any} */ (graph.edge(edge.caller, edge.callee)));
      const middle = points[Math.floor(points.length / 2)];
      return { edge, path: curve(points), x: middle.x, y: middle.y };
    }),
  };
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
