// Layers of a request, from the caller inwards: what belongs to which, how it is called and coloured.
//
// A layer's colour is `--<layer>` of tokens.css; `.layer-<layer>` and `.fill-<layer>` use it.

/** Roles of spans, hops and nodes: proxies on either side of a call look the same. */
const LAYERS = /** @type {Record<string, string>} */ ({
  gateway: "gateway", operation: "gateway", edge: "edge", service: "app", app: "app",
  client_proxy: "proxy", server_proxy: "proxy", waypoint: "proxy", dependency: "dependency",
});

export const LAYER_NAMES = /** @type {Record<string, string>} */ ({
  gateway: "Gateway", edge: "Edge", proxy: "Mesh proxy", app: "Application",
  dependency: "Dependency", network: "Other",
});

/** @param {string} role */
export function layerOf(role) {
  return LAYERS[role] || "network";
}

export const PHASE_NAMES = /** @type {Record<string, string>} */ ({
  gateway: "Gateway", client: "Client", cache: "Gateway's cache", network: "Network",
  edge_proxy: "Edge proxy", mesh_proxy: "Mesh proxies", app: "Applications",
  dependency: "Dependencies", unexplained: "Unexplained",
});

/** The colour of a phase. @param {string} name */
export function phaseLayer(name) {
  return { edge_proxy: "edge", mesh_proxy: "proxy" }[name] || name;
}

/** Parts of the time of many requests, each with its layer. */
export const SHARES = [
  ["client", "client", "Client"], ["gateway", "gateway", "Gateway"], ["network", "network", "Network"],
  ["mesh", "proxy", "Mesh"], ["application", "app", "Applications"], ["dependency", "dependency", "Dependencies"],
  ["unexplained", "unexplained", "Unexplained"],
];
