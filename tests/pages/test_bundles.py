"""Modules sent together do what they do alone, and what cannot be sent so is refused."""

import json
import subprocess
from pathlib import Path

import pytest

from collector.api.page.bundles import bundle, strip_comments
from collector.api.page.routes import read_files, read_scripts
from tests.pages import tools

_MODULES = {
    "main.js": """
import { first, renamed as second } from "./parts/names.js";
import whole from "./vendor/minified.js";
import { h } from "./again.js";
export const told = [first, second(), whole(), h];
import("./later/page.js").then(async (later) => {
console.log(JSON.stringify([told, later.Page, await later.open(), globalThis.runs]));
});
""",
    "parts/names.js": """
import { count } from "../count.js";
count();
export const first = "first";
function hidden() { return "second"; }
export {
hidden as renamed,
};
""",
    "again.js": 'export { x as h } from "./vendor/small.mjs";\n',
    "count.js": "export function count() { globalThis.runs = (globalThis.runs ?? 0) + 1; }\n",
    "vendor/minified.js": 'import{x as n}from"./small.mjs";export default function(){return n+n}\n',
    "vendor/small.mjs": "var t=1;function a(){return t}var x=a()+6;export{x,a as b};\n",
    "later/page.js": """
import { count } from "../count.js";
import { own } from "./own.js";
count();
export class Page { static toJSON() { return own; } }
export async function open() { return (await import("./more.js")).more; }
""",
    "later/own.js": 'export const own = "own";\n',
    "later/more.js": 'import { count } from "../count.js";\ncount();\nexport const more = 3;\n',
}


def test_modules_sent_together_do_what_they_do_alone(tmp_path: Path) -> None:
    """Every form of import and export that the pages and their libraries use, run by Node."""
    if tools.install() is None:
        pytest.skip(f"scripts are not run: {tools.MISSING}")
    sent = bundle(_MODULES, ("main.js",), "main.js")
    assert sorted(sent) == ["later/more.js", "later/page.js", "main.js"]
    told = []
    for form, files in (("alone", _MODULES), ("together", sent)):
        (tmp_path / form).mkdir()
        (tmp_path / form / "package.json").write_text('{"type": "module"}')
        for name, text in files.items():
            path = tmp_path / form / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        run = ["node", str(tmp_path / form / "main.js")]
        told.append(json.loads(subprocess.run(run, capture_output=True, check=True).stdout))
    assert told[0] == told[1] == [["first", "second", 14, 7], "own", 3, 3]


def test_what_one_file_loads_anyway_is_sent_there() -> None:
    """A library that two scripts need stays out of the file that every page waits for."""
    modules = {
        "main.js": 'import("./heat.js"); import("./chart.js");\n',
        "heat.js": 'import { draw } from "./chart.js";\nimport { pen } from "./pen.js";\n',
        "chart.js": 'import { pen } from "./pen.js";\nexport const draw = pen;\n',
        "pen.js": "export const pen = 1;\n",
    }
    sent = bundle(modules, ("main.js",), "main.js")
    assert [name for name, text in sent.items() if "// pen.js" in text] == ["chart.js"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('import { a } from "./none.js";\n', "none.js: is imported and not there"),
        ('import { a } from "./circle.js";\n', "imports itself"),
        ('import * as all from "./circle.js";\n', "cannot be sent with others: 'import"),
        ('export * from "./circle.js";\n', "cannot be sent with others: 'export"),
        ("export let changing = 1;\n", "cannot be sent with others: 'export let"),
    ],
)
def test_what_cannot_be_sent_together_is_refused(text: str, message: str) -> None:
    """At the start, and by name: nothing half right is sent."""
    modules = {
        "start.js": 'import { c } from "./inner.js";\n',
        "inner.js": text,
        "circle.js": 'import { b } from "./inner.js";\nexport const a = 1;\n',
    }
    with pytest.raises(ValueError, match=message):
        bundle(modules, ("start.js",), "start.js")


def test_every_module_is_sent_once_under_its_name() -> None:
    """Whoever reads what a browser got finds the file that it was written in."""
    sent = "".join(file.body.decode() for name, file in read_files().items() if name[-3:] == ".js")
    for name in read_scripts():
        assert sent.count(f"// {name}\n") == 1, name


def test_notices_of_a_licence_are_sent() -> None:
    """They are comments as well, and stay."""
    assert strip_comments("/*! MIT */\n  // why\n  /** what */ run();\n") == "/*! MIT */\nrun();\n"
