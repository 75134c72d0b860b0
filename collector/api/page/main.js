// Which page shows what.

import { PAGES, follow, useAddress } from "./address.js";
import { ComparePage } from "./compare/page.js";
import { HomePage } from "./home/page.js";
import { html, render } from "./html.js";
import { DoctorPage } from "./lists/doctor.js";
import { OutcomesPage } from "./lists/outcomes.js";
import { SourcesPage } from "./lists/sources.js";
import { Nothing } from "./parts/states.js";
import { SearchPage } from "./search/page.js";
import { Shell } from "./shell.js";
import { RequestPage } from "./timeline/page.js";

/** @type {import("./shell.js").Page[]} */
const pages = [
  { segment: "", label: "Home", isListed: true, draw: HomePage },
  { segment: "requests", label: "Requests", isListed: true, draw: SearchPage },
  { segment: "request", label: "Request", isListed: false, draw: RequestPage },
  { segment: "compare", label: "Compare", isListed: true, draw: ComparePage },
  { segment: "doctor", label: "Doctor", isListed: true, draw: DoctorPage },
  { segment: "outcomes", label: "Outcomes", isListed: true, draw: OutcomesPage },
  { segment: "sources", label: "Sources", isListed: true, draw: SourcesPage },
];
for (const { segment } of pages) PAGES.add(segment);

function App() {
  const { page: segment, params } = useAddress();
  const page = pages.find((each) => each.segment === segment);
  return html`<${Shell} pages=${pages} page=${page}>
    ${page ? html`<${page.draw} params=${params} key=${page.segment} />`
    : html`<${Nothing} title="There is no such page" />`}
  <//>`;
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
