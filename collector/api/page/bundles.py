"""
The pages' scripts as they are sent: modules that go together in one file, comments left at home.

A browser asks for six files at a time, so 30 modules came in five rounds, and small files zip
badly: 52 files of 134 KB are 6 of 117 KB this way. Nothing is renamed or shortened: each module
becomes a function that returns what it exports, below a line with its name, so that a stack trace
leads to what is written here.
"""

import posixpath
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

# What scripts say to people only: a sixth of the pages' own, zipped.
_COMMENTS = re.compile(r"^[ \t]*//[^\n]*(?:\n|\Z)|/\*\*.*?\*/[ \t]*", re.M | re.S)
_INDENT = re.compile(r"^[ \t]+", re.M)

_IMPORT = re.compile(r'^import\s*(?:\{([^}]*)\}|(\w+))\s*from\s*"(\.[^"]+)";?', re.M)
_LAZY_IMPORT = re.compile(r'\bimport\("(\.[^"]+)"\)')
_PASSED_ON = re.compile(r'^export\s*\{([^}]*)\}\s*from\s*"(\.[^"]+)";?', re.M)
_LISTED = re.compile(r"(?:^|(?<=[;}]))export\s*\{([^}]*)\};?", re.M)
_DECLARED = re.compile(r"^export (?=(?:async )?(?:function|class|const) (\w+))", re.M)
_DEFAULT = re.compile(r"\bexport default ")
_LEFT = re.compile(r"^(?:import|export)\b(?!\().*", re.M)


def strip_comments(text: str) -> str:
    """Return a script without its comments and indents; notices of a licence (`/*!`) stay."""
    return _INDENT.sub("", _COMMENTS.sub("", text))


def bundle(modules: Mapping[str, str], entries: Collection[str], shared: str) -> dict[str, str]:
    """
    Return the files to send: one for each of *entries* and for each module that is imported lazily.

    What several of them need goes into the one that is called *shared*, what one needs into that
    one. All names are paths below one folder.

    Raises:
        ValueError: a module is not there, imports itself over others, or is written in a form of
            import or export that is not known here.
    """
    read = {name: _read(name, text) for name, text in modules.items()}
    roots = {*entries, *(lazy for module in read.values() for lazy in module.lazy)}
    homes = _assign(read, roots, shared)
    return {root: _write(root, read, homes) for root in sorted(roots)}


@dataclass(frozen=True, slots=True)
class _Module:
    """A module taken apart; *exports* are expressions by the name under which others know them."""

    text: str
    needs: tuple[str, ...]
    lazy: tuple[str, ...]
    exports: dict[str, str] = field(default_factory=dict)


def _read(name: str, text: str) -> _Module:
    folder = posixpath.dirname(name)
    text, needs = _take_imports(_PASSED_ON.sub(_take_and_list, text), folder)
    text, exports = _list_exports(text)
    if left := _LEFT.search(text):
        raise ValueError(f"{name}: cannot be sent with others: {left[0][:80]!r}")
    lazy = tuple(_join(folder, target) for target in _LAZY_IMPORT.findall(text))
    return _Module(text.strip(), needs, lazy, exports)


def _take_and_list(match: re.Match[str]) -> str:
    """Write `export { a as b } from` as what it stands for."""
    pairs = list(_pairs(match[1]))
    taken = ", ".join(f"{own} as ${own}" for own, _ in pairs)
    listed = ", ".join(f"${own} as {public}" for own, public in pairs)
    return f'import {{ {taken} }} from "{match[2]}";\nexport {{ {listed} }};'


def _take_imports(text: str, folder: str) -> tuple[str, tuple[str, ...]]:
    needs: dict[str, None] = {}

    def take(match: re.Match[str]) -> str:
        names, default, target = match.groups()
        found = _join(folder, target)
        needs[found] = None
        taken = f"default: {default}" if names is None else names.replace(" as ", ": ")
        return f"const {{{taken}}} = {_variable(found)};"

    return _IMPORT.sub(take, text), tuple(needs)


def _list_exports(text: str) -> tuple[str, dict[str, str]]:
    exports: dict[str, str] = {}

    def declare(match: re.Match[str]) -> str:
        exports[match[1]] = match[1]
        return ""

    def list_names(match: re.Match[str]) -> str:
        exports.update({public: own for own, public in _pairs(match[1])})
        return ""

    def name_default(match: re.Match[str]) -> str:
        exports["default"] = "$default"
        return "const $default = "

    text = _LISTED.sub(list_names, _DECLARED.sub(declare, text))
    return _DEFAULT.sub(name_default, text), exports


def _join(folder: str, target: str) -> str:
    return posixpath.normpath(posixpath.join(folder, target))


def _pairs(names: str) -> Iterator[tuple[str, str]]:
    """Yield what a module calls each of *names*, and what others call it."""
    for each in filter(None, map(str.strip, names.split(","))):
        own, _, public = each.partition(" as ")
        yield own, public or own


def _variable(name: str) -> str:
    return "$" + re.sub(r"\W", "_", name)


def _assign(read: Mapping[str, _Module], roots: Collection[str], shared: str) -> dict[str, str]:
    """Return the file that each module is sent in."""
    reached = {root: _reach(root, read) for root in roots}
    homes = {root: root for root in roots}
    for name in set().union(*reached.values()) - homes.keys():
        users = {root for root in roots if name in reached[root]}
        # one that the others load anyway
        within = [root for root in sorted(users) if all(root in reached[each] for each in users)]
        homes[name] = within[0] if within else shared
    return homes


def _reach(root: str, read: Mapping[str, _Module]) -> set[str]:
    """Return *root* and what it needs, however indirectly."""
    found, waiting = {root}, [root]
    while waiting:
        for inner in _get(read, waiting.pop()).needs:
            if inner not in found:
                found.add(inner)
                waiting.append(inner)
    return found


def _get(read: Mapping[str, _Module], name: str) -> _Module:
    if name not in read:
        raise ValueError(f"{name}: is imported and not there")
    return read[name]


def _write(file: str, read: Mapping[str, _Module], homes: Mapping[str, str]) -> str:
    members = [name for name in sorted(homes) if homes[name] == file and name != file]
    order: list[str] = []
    for name in (*members, file):
        _place(name, order, (), read, homes)
    foreign: dict[str, set[str]] = defaultdict(set)
    for name in order:
        for need in read[name].needs:
            if homes[need] != file:
                foreign[homes[need]].add(_variable(need))
    folder = posixpath.dirname(file)
    lines = [
        f'import {{ {", ".join(sorted(names))} }} from "{_relative(other, folder)}";'
        for other, names in sorted(foreign.items())
    ]
    lines += [_wrap(name, read[name], folder) for name in order]
    lines.append(f"export {{ {', '.join(map(_variable, order))} }};")
    public = [name for name in read[file].exports if name != "default"]
    if public:
        lines.append(f"export const {{ {', '.join(public)} }} = {_variable(file)};")
    return "\n".join(lines) + "\n"


def _place(
    name: str,
    order: list[str],
    path: tuple[str, ...],
    read: Mapping[str, _Module],
    homes: Mapping[str, str],
) -> None:
    """Append *name* to *order* behind all that it needs of the same file."""
    if name in path:
        raise ValueError(f"{name}: imports itself by {' and '.join(path)}")
    if name in order:
        return
    for need in read[name].needs:
        if homes[need] == homes[name]:
            _place(need, order, (*path, name), read, homes)
    order.append(name)


def _wrap(name: str, module: _Module, folder: str) -> str:
    def lead(match: re.Match[str]) -> str:
        target = _join(posixpath.dirname(name), match[1])
        return f'import("{_relative(target, folder)}")'

    exports = ", ".join(
        public if public == own else f"{public}: {own}" for public, own in module.exports.items()
    )
    text = _LAZY_IMPORT.sub(lead, module.text)
    return (
        f"// {name}\nconst {_variable(name)} = (() => {{\n{text}\nreturn {{ {exports} }};\n}})();"
    )


def _relative(target: str, folder: str) -> str:
    found = posixpath.relpath(target, folder or ".")
    return found if found.startswith("..") else "./" + found
