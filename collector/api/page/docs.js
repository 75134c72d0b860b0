// The API's description, drawn from openapi.json. Text nodes only.

/**
 * @param {string} name
 * @param {Record<string, string>} [attributes]
 * @param {...(Node | string)} children
 */
function make(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

/** What stands between backticks is code. @param {string} text */
function prose(text) {
  return text.split("`").map((part, at) => (at % 2 ? make("code", {}, part) : part));
}

/** @param {any} schema */
function kind(schema) {
  if (!schema) return "";
  const limits = ["minimum", "maximum", "default"].filter((key) => schema[key] !== undefined)
    .map((key) => key + " " + schema[key]);
  return [(schema.enum || [schema.type || ""]).join(" | "), ...limits].join(", ");
}

/** @param {any[] | undefined} items */
function parameters(items) {
  if (!items || !items.length) return [];
  const rows = items.map((item) => make("tr", {},
    make("td", { class: "mono" }, item.name), make("td", {}, item.in), make("td", {}, kind(item.schema)),
    make("td", {}, ...prose(item.description || "")),
    make("td", { class: "mono" }, item.example === undefined ? "" : String(item.example))));
  const titles = ["parameter", "in", "type", "meaning", "example"];
  return [make("table", {}, make("thead", {}, make("tr", {}, ...titles.map((title) => make("th", {}, title)))),
    make("tbody", {}, ...rows))];
}

/** @param {Record<string, any> | undefined} responses */
function answers(responses) {
  return Object.entries(responses || {}).map(([status, response]) => {
    const content = (response.content || {})["application/json"] || {};
    const box = make("details", {}, make("summary", {}, make("span", { class: "status " + (status < "300" ? "is-good" : status < "500" ? "is-warn" : "is-bad") }, status), " ", ...prose(response.description || "")));
    if (content.example !== undefined) {
      box.append(make("pre", { class: "block", tabindex: "0" }, JSON.stringify(content.example, null, 2)));
    }
    return box;
  });
}

async function load() {
  const page = document.getElementById("docs");
  if (!page) return;
  try {
    const api = await (await fetch("openapi.json")).json();
    const parts = [make("p", { class: "quiet" }, ...prose(api.info.description || ""))];
    for (const [path, methods] of Object.entries(api.paths)) {
      for (const [method, route] of Object.entries(/** @type {Record<string, any>} */ (methods))) {
        parts.push(make("section", { class: "card" },
          make("h2", {}, make("span", { class: "tag" }, method.toUpperCase()), " ", make("span", { class: "mono" }, path)),
          make("p", {}, make("strong", {}, (route.summary || "") + ". "), ...prose(route.description || "")),
          ...parameters(route.parameters), ...answers(route.responses)));
      }
    }
    page.replaceChildren(...parts);
  } catch (error) {
    page.replaceChildren(make("p", { class: "bad" }, "openapi.json: " + error));
  }
}
load();
