// The request as gateways saw it: the canonical fields, and every raw one.

import { html } from "../html.js";
import { Copy } from "../parts/copy.js";
import { Nothing } from "../parts/states.js";
import { Values } from "../parts/values.js";
import { Text } from "../text.js";
import { Section } from "./section.js";

const NOT_FIELDS = new Set(["raw", "ids", "attributes", "quality", "sources", "versions", "span_id"]);

/** @param {{trace: import("./model.js").Trace}} props */
export function Records({ trace }) {
  const records = trace.request.gateway_records;
  if (!records.length) {
    const missing = trace.request.expected.filter((/** @type {any} */ each) => each.status !== "arrived");
    return html`<${Nothing} title="No gateway wrote this request down">
      <p class="quiet">${missing.length ? "Expected and not here: " + missing.map((/** @type {any} */ each) => each.source).join(", ") + "." : "Nothing more is expected."}</p><//>`;
  }
  return records.map((/** @type {any} */ record) => html`<${Record} record=${record} />`);
}

/** @param {{record: any}} props */
function Record({ record }) {
  const fields = Object.fromEntries(Object.entries(record).filter(([name, value]) =>
    !NOT_FIELDS.has(name) && value !== null && value !== ""));
  const raw = typeof record.raw === "string" ? record.raw : JSON.stringify(record.raw, null, 2);
  return html`<h2 class="record-title"><${Text}>${record.gateway}<//> <span class="mono quiet"><${Text}>${record.record_id}<//></span></h2>
    <p class="quiet">${record.versions > 1 ? `${record.versions} versions` : "one version"} from ${record.sources.join(", ") || record.source}</p>
    ${record.quality.length > 0 && html`<p class="note">Doubtful: ${record.quality.join(", ")}</p>`}
    <${Section} title="Fields" count=${Object.keys(fields).length}><${Values} values=${fields} label="Fields of the record" /><//>
    ${record.ids.length > 0 && html`<${Section} title="Ids" count=${record.ids.length}><${Values} label="Ids" values=${Object.fromEntries(record.ids.map((/** @type {any} */ id) => [id.kind, id.value]))} /><//>`}
    ${Object.keys(record.attributes).length > 0 && html`<${Section} title="More" count=${Object.keys(record.attributes).length}><${Values} values=${record.attributes} label="More values" /><//>`}
    <${Section} title="As the gateway wrote it"><div class="stack"><pre class="block" tabindex="0" aria-label="As the gateway wrote it"><${Text}>${raw}<//></pre>
      <${Copy} text=${() => raw} label="Copy the raw record" class="button bare" isBare=${true} /></div><//>`;
}
