// Which page shows what.

import { PAGES, follow, useAddress } from "./address.js";
import { Page as Compare } from "./compare/page.js";
import { Page as Home } from "./home/page.js";
import { html, later, render, useEffect } from "./html.js";
import { Page as Changes } from "./lists/changes.js";
import { Page as Doctor } from "./lists/doctor.js";
import { Page as Outcomes } from "./lists/outcomes.js";
import { Page as Sources } from "./lists/sources.js";
import { Nothing } from "./parts/states.js";
import { Page as Requests } from "./search/page.js";
import { Shell } from "./shell.js";
import { Page as Slow } from "./slow/page.js";

/** The two large pages are loaded when they are opened first; `routes.py` knows them to load them sooner. */
const Request = later(() => import("./timeline/page.js").then((module) => module.Page), null, NotLoaded);
const Paths = later(() => import("./map/page.js").then((module) => module.Page), null, NotLoaded);

/** @type {import("./shell.js").Page[]} */
const pages = [
  { segment: "", label: "Home", isListed: true, Page: Home },
  { segment: "requests", label: "Requests", isListed: true, Page: Requests },
  { segment: "request", label: "Request", isListed: false, Page: Request },
  { segment: "slow", label: "Why slow", isListed: true, Page: Slow },
  { segment: "map", label: "Map", isListed: true, Page: Paths },
  { segment: "changes", label: "Changes", isListed: true, Page: Changes },
  { segment: "compare", label: "Compare", isListed: true, Page: Compare },
  { segment: "doctor", label: "Doctor", isListed: true, Page: Doctor },
  { segment: "outcomes", label: "Outcomes", isListed: true, Page: Outcomes },
  { segment: "sources", label: "Sources", isListed: true, Page: Sources },
];
for (const { segment } of pages) PAGES.add(segment);
let hadPage = false;

function App() {
  const { page: segment, params } = useAddress();
  const page = pages.find((each) => each.segment === segment);
  return html`<${Shell} pages=${pages} page=${page}>
    ${page ? html`<${Opened} page=${page} params=${params} key=${page.segment} />`
    : html`<${Nothing} title="There is no such page" />`}
  <//>`;
}

/** @param {{page: import("./shell.js").Page, params: Record<string, string>}} props */
function Opened({ page, params }) {
  // What had the focus is gone with the page before: the keys go on at this one's beginning.
  useEffect(() => {
    const content = document.getElementById("content");
    if (hadPage && content && document.activeElement === document.body) content.focus({ preventScroll: true });
    hadPage = true;
  }, []);
  return html`<${page.Page} params=${params} />`;
}

/** @param {{problem: unknown}} props */
function NotLoaded({ problem }) {
  return html`<${Nothing} title="This page could not be loaded"><p class="quiet">${String(problem)}</p>
    <button type="button" class="button" onClick=${() => location.reload()}>Load again</button><//>`;
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
