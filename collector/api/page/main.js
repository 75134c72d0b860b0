// Which page shows what.

import { PAGES, follow, useAddress } from "./address.js";
import { html, render, useEffect, useState } from "./html.js";
import { Nothing } from "./parts/states.js";
import { Shell } from "./shell.js";

/** Each page is loaded when it is opened first; `routes.py` has the same list to load it sooner. */
/** @type {import("./shell.js").Page[]} */
const pages = [
  { segment: "", label: "Home", isListed: true, load: () => import("./home/page.js") },
  { segment: "requests", label: "Requests", isListed: true, load: () => import("./search/page.js") },
  { segment: "request", label: "Request", isListed: false, load: () => import("./timeline/page.js") },
  { segment: "slow", label: "Why slow", isListed: true, load: () => import("./slow/page.js") },
  { segment: "map", label: "Map", isListed: true, load: () => import("./map/page.js") },
  { segment: "changes", label: "Changes", isListed: true, load: () => import("./lists/changes.js") },
  { segment: "compare", label: "Compare", isListed: true, load: () => import("./compare/page.js") },
  { segment: "doctor", label: "Doctor", isListed: true, load: () => import("./lists/doctor.js") },
  { segment: "outcomes", label: "Outcomes", isListed: true, load: () => import("./lists/outcomes.js") },
  { segment: "sources", label: "Sources", isListed: true, load: () => import("./lists/sources.js") },
];
for (const { segment } of pages) PAGES.add(segment);
/** What draws a page, once it is loaded. @type {Map<string, any>} */
const drawn = new Map();
let hadPage = false;

function App() {
  const { page: segment, params } = useAddress();
  const page = pages.find((each) => each.segment === segment);
  return html`<${Shell} pages=${pages} page=${page}>
    ${page ? html`<${Loaded} page=${page} params=${params} key=${page.segment} />`
    : html`<${Nothing} title="There is no such page" />`}
  <//>`;
}

/** @param {{page: import("./shell.js").Page, params: Record<string, string>}} props */
function Loaded({ page, params }) {
  const [problem, setProblem] = useState("");
  const [, draw] = useState(0);
  useEffect(() => {
    if (drawn.has(page.segment)) return;
    page.load().then((module) => {
      drawn.set(page.segment, module.Page);
      draw((count) => count + 1);
    }, (error) => setProblem(String(error)));
  }, [page]);
  // What had the focus is gone with the page before: the keys go on at this one's beginning.
  useEffect(() => {
    const content = document.getElementById("content");
    if (hadPage && content && document.activeElement === document.body) content.focus({ preventScroll: true });
    hadPage = true;
  }, []);
  const Page = drawn.get(page.segment);
  if (Page) return html`<${Page} params=${params} />`;
  return problem ? html`<${Nothing} title="This page could not be loaded"><p class="quiet">${problem}</p>
    <button type="button" class="button" onClick=${() => location.reload()}>Load again</button><//>` : null;
}

/** Links of earlier versions ended in `#<id>`. */
function followOldLink() {
  const id = location.hash.slice(1);
  if (id.length < 8 || location.search) return;
  try {
    location.replace("request?" + new URLSearchParams({ id: decodeURIComponent(id) }));
  } catch { /* not an id of ours */ }
}

followOldLink();
follow();
const root = document.getElementById("app");
if (root) {
  root.replaceChildren();
  render(html`<${App} />`, root);
}
