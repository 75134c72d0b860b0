"""
Finds secrets inside a text of any form: log lines, URLs, headers, SQL, XML, commands.

A search for what stands before a secret, then a reader that knows where it ends: quotes and their
escapes, schemes of `Authorization`, parameters. Each rule yields spans of the original text, so
rules do not see each other's work and their order does not matter.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from collector.decode.redaction import commands, sentences, shapes
from collector.decode.redaction.findings import has_mark
from collector.decode.redaction.names import PARAMETERS, SHORT, Names, compile_pattern

Span = tuple[int, int, str]

_SCHEMES = frozenset(
    b"bearer basic digest negotiate ntlm token apikey api-key sharedkey sharedkeylite "
    b"sharedaccesssignature aws4-hmac-sha256 hawk oauth geniekey dpop key signature splunk gnap "
    b"privatetoken jwt mac sentry".split()
)
# what follows these is a list of parameters, to the end of the line
_LIST_SCHEMES = frozenset(b"digest mac sentry aws4-hmac-sha256 hawk oauth signature".split())
_QUOTE = r"(?:\\{0,8}[\"'`]|&quot;|%(?:25){0,2}2[27])"
_SPACE = r"(?:[ \t]|\xc2\xa0)"
# the last two are the full-width signs of Chinese and Japanese texts
_ASSIGN = (
    r"(?:: ?(?:string|str|any)\b ?=|=>|:=|!=|<>|==|[~-]> |:: |[:=]|%(?:25){0,2}3[da]"
    r"|\xef\xbc[\x9a\x9d])"
)
# a word behind "bearer" is a credential if it has a digit or is long
_CREDENTIAL = r"(?:[-\w.~+/]*\d[-\w.~+/=]*|[-\w.~+/]{16,}=*)"
_SAYS = "(?:(?:was |has been )?(?:set|reset|changed) to|is|was):?"
_BY = "(?:by|like|in|with|for)"
_HASHED = r"(?:[-\w+/]{16,}=*|[-\w+/.]{1,64}:[-\w+/]{8,}=*)"
_MARK_URL = r"(?:[?&;#~]|%(?:25){0,2}(?:3f|26|23|3b))"
_EQUALS_URL = r"(?:=|%(?:25){0,2}3d)"
_PARAMETER_VALUE = r"(?:[^&\s\"'<>#%;\\]|%[013-9a-f][0-9a-f]|%2[0-57-9a-f])+"
_OPEN = r"(?:<|&lt;|&#60;|%3c|\\{1,4}u003c)"
_CLOSE = r"(?:>|&gt;|&#62;|%3e|\\{1,4}u003e)"
_LONG = r"[-\w.~+/]{10,}=*"
_NEWLINE = r"(?:\r?\n|(?:\\r)?\\n)"
# what is said of a secret in prose, and switches: no values
_PLAIN = frozenset(
    b"is must was are were be not invalid valid expired missing required failed failure failing "
    b"unexpected incorrect wrong should shall cannot can could has have had too may does did for "
    b"from to in of with without and or the a an this that unknown error errors denied ok closed "
    b"refused rejected accepted created updated changed reset revoked found empty unset set hidden "
    b"enabled disabled optional default option flag argument parameter value string bytes int "
    b"integer number text removed please if when already only still after before at by via basic "
    b"bearer digest negotiate ntlm oauth oauth2 oidc saml mtls tls jwt kerberos ldap anonymous "
    b"success successful succeeded unauthorized forbidden authentication authorization header "
    b"store stored client on off".split()
)
_SWITCHES = frozenset(b"true false null none nil undefined yes no redacted masked".split())
_PLACEHOLDER = compile_pattern(
    r"^(?:\?|\$\d+|\$\{?\w+\}?|%[sdv]|\*+|\{[\w.]*\}|\{\{[^}]*\}\}|\.+|(?-i::[a-z_]+)|[^a-z0-9])$"
)
# So much of a value tells whether it is a secret.
_LOOKED_AT = 4096
_STOPS = compile_pattern(r"[\s\"'`&<>]|\\[nrt\"'u]")
_NESTED_STOPS = compile_pattern(r"[\s\"'`&<>]|%(?:25){0,2}(?:26|23)")
_CUT = compile_pattern(r"[,;](?:$|\s|[-\w. ]{1,40}[=:]|[{\[])")
_LINE_END = compile_pattern(r"[\r\n\"'`]|\\[nr\"']")
_NEWLINE_AT = compile_pattern(r"[\r\n]|\\[nr]")
# letters of Python and SQL before a text, and calls around it: MD5('…'), Some("…")
_QUOTE_AT = compile_pattern(
    rf"(?:[A-Za-z_][\w.]{{0,24}}\( ?){{0,3}}(?:b|u|n|e|r|rb)?({_QUOTE})", has_groups=True
)
_NEXT_IN_LIST = compile_pattern(rf"{_QUOTE}\s{{0,4}},\s{{0,4}}")
# a YAML text of several lines, until one that is not indented
_BLOCK = compile_pattern(r"[|>][-+]?[ \t]*(?:\r?\n|\\n)\s{1,40}")
_BLOCK_END = compile_pattern(r"(?:\n|\\n)(?:[^\s]|$)")
_NAME_BYTES = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.$[]%")
_MAX_NAME_BYTES = 80
_DIGIT = compile_pattern(r"\d")
# the name of a secret in AWS
_ARN = compile_pattern(r"\barn:[-\w]+:secretsmanager:[-\w:]*$")
_SAID = compile_pattern(" (?:is|was|to):? $")
_WORDS_ONLY = compile_pattern(r"^[a-z]+(?:-[a-z]+)*$")
_LOWER_ONLY = compile_pattern(r"(?-i:^[a-z-]+$)")
# a scheme, or none where a text or a value begins; JSON may escape the slashes
_URL = compile_pattern(
    r"(?:[:\s\"'=(]|^)(?:\\{0,4}/){2}([^\s\"'<>`\x00-\x20]{1,400})", has_groups=True
)
_PORT_OR_NOTHING = compile_pattern(r"^\d{0,5}$")
_HOST = compile_pattern(r"^(?:[-\w.]{1,253}|\[[0-9a-f:.%]+\])(?::\d{1,5})?(?:[/?#,;:)\\]|$)")
_ROW = r"((?:[^()]|\([^()]*\))+)"
_INSERT = compile_pattern(
    rf"\(([^()]+)\)\s{{0,8}}(?:values\s{{0,8}}\(|select\s{{1,8}}){_ROW}", has_groups=True
)
_NEXT_ROW = compile_pattern(rf"\)?\s*,\s*\({_ROW}", has_groups=True)
# the first line of a table, as CSV or with lines drawn; its names hold no gap
_CELL = r"[-\w.\"]+"
_TABLE_HEAD = compile_pattern(
    rf"(?:^|\n)[ \t]{{0,8}}(\|? ?{_CELL}(?:(?:[,;\t]| ?\| ?){_CELL})+ ?\|?)\r?\n",
    has_groups=True,
)
_SEPARATOR = compile_pattern(r"[,;\t|]")
_SQL_VALUE = compile_pattern(
    r"\s*(?:n?('(?:[^'\\]|''|\\.)*'?|\"[^\"]*\"?)|([^,]*))(?:,|$)", has_groups=True
)


class Texts:
    """
    The rules for text, over *names*, with *patterns* of the operator's: (kind, pattern).

    `shapes` are what a search must look for that decides whether there is any work. `signs` are
    fewer and simpler, and in each text that has one of the shapes there is one of them.
    """

    def __init__(self, names: Names, patterns: Sequence[tuple[str, str]] = ()) -> None:
        self._names = names
        name, quote = names.any, _QUOTE
        closing = rf"(?:{quote}|[\])]){{0,2}}"
        nameless = (*_SHAPES, *shapes.SEARCH, *(each for _, each in patterns))
        self.shapes = (*_shapes_of_names(name, closing), *nameless)
        self.signs = (name, rf"(?:%3c|u003c)(?:{SHORT})", *nameless)
        self._assignment = compile_pattern(
            rf"{name}({closing}{_SPACE}{{0,16}}{_ASSIGN}{_SPACE}{{0,16}})", has_groups=True
        )
        # what stands before a value: (kind, pattern with the name, must be quoted)
        self._before = (
            (
                rf"(?:^|[\s\"'=,`])--?([-\w.]{{0,32}}{name})"
                rf"(?:{quote}\s{{0,4}},?\s{{0,4}}|[ \t]+)",
                False,
            ),
            (
                rf"(?:name|key){quote}\s?:\s?{quote}([-\w.]{{0,60}}{name}){quote}\s?,\s?"
                rf"{quote}value{quote}\s?:\s?",
                True,
            ),
            (rf"(?:name|key)=\\?[\"']([-\w.:]{{0,60}}{name})\\?[\"']\s{{1,8}}value=", True),
            (rf"[\[(]\s{{0,8}}b?{quote}([-\w.]{{0,60}}{name}){quote}\s?,\s{{0,8}}(?:\[\s?)?", True),
            (rf",\s?b?{quote}([-\w]{{0,60}}(?:{names.exact})){quote}\s?,\s?(?:\[\s?)?", True),
            (
                rf"([-\w.]{{0,60}}{name}) {_SAYS} ",
                False,
            ),
            (r"identified (?:by|with \S{1,60} (?:by|as)) (password )?", True),
            (r"(?:user|role|to) \S{1,80} identified by (password )?", False),
            (r"(passw\w{0,8})(?: for [^=]{1,80}=| ?\(| ) ?", True),
            (rf"([-\w.]{{0,60}}{name})[\"'`\]]? {{0,4}}(?:like|in|by) {{0,4}}\(? ?", True),
        )
        self._prefixes = tuple(
            (compile_pattern(pattern, has_groups=True), is_quoted)
            for pattern, is_quoted in self._before
        )
        # name and value, each a group
        self._named = tuple(
            compile_pattern(pattern, has_groups=True) for pattern in _named_patterns(name)
        )
        self._fixed = _build_fixed()
        # value and name
        self._aliased = compile_pattern(
            rf"'([^']{{1,256}})' (?:as|=) [\"'`\[]?([-\w.]{{0,60}}{name})\b"
            rf"|value=[\"']([^\"'<>]{{1,256}})[\"']\s(?:name|key|type)=[\"']([-\w.]{{0,60}}{name})\b",
            has_groups=True,
        )
        self._own = tuple(
            (kind, compile_pattern(f"({pattern})", has_groups=True)) for kind, pattern in patterns
        )

    def find(self, data: bytes, *, are_cards_ids: bool = False) -> list[Span]:
        """Return start, end and kind of each secret, in order and without overlaps."""
        ends = _Ends(data)
        found = [
            *self._find_assigned(data, ends),
            *self._find_after_prefix(data, ends),
            *self._find_inserted(data),
            *self._find_tabulated(data),
            *_find_user_information(data),
        ]
        for pattern in self._named:
            for match in pattern.finditer(data):
                name = _clean_name(match.group(1))
                start, end = _trim(data, *match.span(2))
                value = data[start : min(end, start + _LOOKED_AT)]
                if self._names.is_secret(name) and self._is_value(value, name, is_prose=False):
                    found.append((start, end, "key"))
        for match in self._aliased.finditer(data):
            group = 1 if match.start(1) >= 0 else 3
            name = _clean_name(match.group(group + 1))
            value = match.group(group)
            if self._names.is_secret(name) and self._is_value(value, name, is_prose=False):
                found.append((*match.span(group), "key"))
        found += ((*each, "command") for each in find_in_command(data))
        found += sentences.find_sentences(data)
        for kind, pattern in (*self._fixed, *shapes.RULES, *self._own):
            for match in pattern.finditer(data):
                if _is_credible(kind, match.group(1)):
                    found.append((*match.span(1), kind))
        if not are_cards_ids:
            for match in shapes.CARD.finditer(data):
                if shapes.is_card(match.group(1)):
                    found.append((*match.span(1), "card"))
        return _merge(data, found)

    def _find_assigned(self, data: bytes, ends: "_Ends") -> Iterator[Span]:
        done = 0
        for match in self._assignment.finditer(data):
            sign, end = match.span(1)
            if sign < done:
                continue
            name = _read_name(data, match.start(), sign)
            if not self._names.is_secret(name) or _ARN.search(data[max(0, sign - 120) : sign]):
                continue
            sign_text = data[sign:end]
            for start, stop in self._read_values(data, ends, end, name, b"%" in sign_text):
                value = data[start : min(stop, start + _LOOKED_AT)]
                if self._is_value(value, name, is_prose=b"=" not in sign_text):
                    done = stop
                    yield start, stop, "key"

    def _find_after_prefix(self, data: bytes, ends: "_Ends") -> Iterator[Span]:
        for pattern, is_quoted in self._prefixes:
            done = 0
            for match in pattern.finditer(data):
                if match.start() < done:
                    continue
                name = _clean_name(match.group(1) or b"password")
                at = match.end()
                quoted = _QUOTE_AT.match(data, at)
                if data[at - 1 : at] == b"(":
                    at -= 1  # a list of values
                if not self._names.is_secret(name) or (is_quoted and not quoted):
                    continue
                for start, stop in self._read_values(data, ends, at, name, False):
                    value = data[start : min(stop, start + _LOOKED_AT)]
                    if quoted and _WORDS_ONLY.search(value) and match.group()[:1] in b"[(,":
                        continue  # a list of header names
                    if match.group()[:1] == b"," and not sentences.looks_random(value):
                        continue
                    if not quoted and _SAID.search(match.group()) and not _DIGIT.search(value):
                        continue
                    if value[:1] != b"-" and self._is_value(value, name, is_prose=True):
                        done = stop
                        yield start, stop, "key"

    def _find_inserted(self, data: bytes) -> Iterator[Span]:
        """Find what an INSERT writes into columns with secret names."""
        for match in _INSERT.finditer(data):
            columns = [
                _clean_name(each.strip(b' \t\r\n`"[]')) for each in match.group(1).split(b",")
            ]
            if not any(self._names.is_secret(column) for column in columns):
                continue
            row, group = match, 2
            while row:
                yield from self._find_in_row(columns, row.group(group), row.start(group))
                row, group = _NEXT_ROW.match(data, row.end()), 1

    def _find_in_row(self, columns: Sequence[str], written: bytes, at: int) -> Iterator[Span]:
        for column, value in zip(columns, _SQL_VALUE.finditer(written), strict=False):
            first, last = value.span(1 if value.start(1) >= 0 else 2)
            start, stop = _trim(written, first, last, b"'\" \r\n\t")
            is_value = self._is_value(written[start:stop], column, is_prose=False)
            if self._names.is_secret(column) and is_value:
                yield at + start, at + stop, "key"

    def _find_tabulated(self, data: bytes) -> Iterator[Span]:
        """Find what the rows of a table hold under secret names."""
        at = 0
        for head in _TABLE_HEAD.finditer(data):
            if head.end() <= at:
                continue  # a row of the table before
            separator = _SEPARATOR.search(head.group(1)).group()
            names = [_clean_name(each) for each in head.group(1).split(separator)]
            is_any = any(map(self._names.is_secret, names))
            at = head.end()
            while is_any and at < len(data):
                end = data.find(b"\n", at)
                end = end if end >= 0 else len(data)
                cells = data[at:end].split(separator)
                if len(cells) != len(names):
                    break
                for name, cell in zip(names, cells, strict=True):
                    start, stop = _trim(data, at, at + len(cell), b"\"' \r")
                    if self._names.is_secret(name) and self._is_cell(data[start:stop], name):
                        yield start, stop, "key"
                    at += len(cell) + 1

    def _is_cell(self, value: bytes, name: str) -> bool:
        is_line = not value.strip(b"-:")  # below the names
        is_certain = self._names.is_numeric(name) and self._is_value(value, name, is_prose=True)
        return not is_line and (is_certain or sentences.looks_random(value))

    def _read_values(
        self, data: bytes, ends: "_Ends", at: int, name: str, is_nested: bool
    ) -> Iterator[tuple[int, int]]:
        """Yield where the value at *at* starts and ends; the values, if it is a list of texts."""
        if has_mark(data, at):
            return
        is_list = data[at : at + 1] in (b"[", b"(")
        while data[at : at + 1] in (b"[", b"(", b" ") and not has_mark(data, at):
            at += 1
        quoted = _QUOTE_AT.match(data, at)
        if block := _BLOCK.match(data, at):
            yield block.end(), ends.find(_BLOCK_END, block.end())
            return
        if not quoted:
            yield self._read_bare(data, ends, at, name, is_nested)
            return
        while quoted:
            start = quoted.end()
            stop = _find_closing(data, start, quoted.group(1))
            yield start, stop
            following = _NEXT_IN_LIST.match(data, stop) if is_list else None
            quoted = _QUOTE_AT.match(data, following.end()) if following else None

    def _read_bare(
        self, data: bytes, ends: "_Ends", at: int, name: str, is_nested: bool
    ) -> tuple[int, int]:
        lowered = name.lower()
        if lowered.endswith(("cookie", "cookie2", "-signature", "authentication-info")):
            return at, ends.find(_LINE_END, at)
        stops = _NESTED_STOPS if is_nested else _STOPS
        end = ends.find(stops, at)
        word = data[at : min(end, at + 32)].lower()
        if word in _SCHEMES and data[end : end + 1] == b" ":
            if word in _LIST_SCHEMES:
                return end + 1, ends.find(_NEWLINE_AT, end)
            at = end + 1
            while data[at : at + 1] == b" ":
                at += 1
            end = ends.find(stops, at)
        elif lowered.endswith("authorization") and data[end : end + 1] == b" ":
            after = ends.find(stops, end + 1)
            if after - end > 16 or _DIGIT.search(data[end:after]):
                end = after
        cut = _CUT.search(data, at, min(end, at + _LOOKED_AT) + 48)
        return at, min(end, cut.start()) if cut else end

    def _is_value(self, value: bytes, name: str, *, is_prose: bool) -> bool:
        """Tell whether *value* could be a secret: no mark, no placeholder, no word of prose."""
        plain = value.strip().rstrip(b".,;:!?)]}").lower()
        if not plain or plain in _SWITCHES or _PLACEHOLDER.search(plain):
            return False
        is_short = self._names.is_short(name)
        if (is_prose or is_short) and plain in _PLAIN:
            return False
        if is_prose and is_short and _LOWER_ONLY.search(value):
            return False
        return not (plain.isdigit() and len(plain) < 6 and not self._names.is_numeric(name))


def find_in_command(data: bytes) -> list[tuple[int, int]]:
    """Return where the secrets are that a command line gives by short flags or by their place."""
    return [
        match.span(1)
        for match in commands.find_commands(data)
        if _is_credible("command", match.group(1))
    ]


def is_plain(value: str) -> bool:
    """Tell whether *value* is a word that says something about a secret, and none itself."""
    word = value.strip().lower().encode("utf-8", "replace")
    return word in _PLAIN or word in _SWITCHES


def _shapes_of_names(name: str, closing: str) -> tuple[str, ...]:
    quote = _QUOTE
    return (
        rf"{name}{closing}{_SPACE}*{_ASSIGN}",
        rf"--?[-\w.]*{name}(?:{quote}|[\s,])",
        rf"{_OPEN}(?:[-\w.:]*{name}|(?:{SHORT}))(?:\s[^<>\x00-\x1f]*)?{_CLOSE}",
        rf"(?:name|key|id|type)=\\*[\"']?[-\w.\[\]:]*{name}",
        rf"(?:name|key){quote}\s?:\s?{quote}[-\w.]*{name}",
        rf"<(?:key|name)>[-\w.]*{name}",
        rf"{name}{quote}\s?,\s*(?:\[\s?)?b?{quote}",
        rf"{name} {_SAYS} (?:[\"'`]|\S*\d)",
        rf"{name}[\"'`\]]? *{_BY} *\(? ?\S",
        rf"name: ?{quote}?[-\w.]*{name}",
        rf"{name}\"? ?(?:[,;|\t]|\\t)[-\w.\",;|\t\\ ]*{_NEWLINE}",
        rf"(?:[,;|\t]|\\t) ?\"?[-\w.]*{name}\"?{_NEWLINE}",
        rf"{name} n?(?:var)?char",
        rf"(?-i:['\"]) (?:as|=) [\"'`\[]?{name}",
    )


# the same where no name says that there is a secret
_SHAPES = (
    rf"{_MARK_URL}(?:{PARAMETERS}){_EQUALS_URL}",
    r"(?:\\{0,4}/){2}[^/?#@\s\x00-\x20\"']+@",
    r"(?:\\{0,4}/){2}[^/?#@:\s\x00-\x20\"']*:[^\s\x00-\x20\"'@]+@",
    r"%3a%(?:25){0,2}2f%(?:25){0,2}2f[^\s&\"'\x00-\x20]+%(?:25){0,2}40",
    r"@(?:tcp|unix)\(",
    rf"(?:bearer|basic|apikey|geniekey|privatetoken)(?: +|\+|%20){_CREDENTIAL}",
    rf"(?:token|sharedkey|sharedkeylite|negotiate|ntlm) +{_HASHED}",
    rf"identified *{_BY} *\(? ?\S",
    r"passw\w{0,8}[ (]{1,3}['\"]",
    r"(?:values\s*\(|\)\s*select)\s{0,4}(?:['\"n]|\d)",
    r"sasl(?:start|continue)|\"kind\\*\": ?\\*\"secret\\*\"",
    r"k8s\.io\.[-\w]|bearer, ?[-\w.~+/]{8}",
    r"(?:pgp_sym|aes)_(?:en|de)crypt",
    r"(?:code|assertion)=[^&\s]{6}[^\x00-\x20]*&(?:grant_type|client_id|redirect_uri|state)=",
    r"(?:token|api[-_ ]?key)s?(?: provided)?[:= \[<'\"`(]{1,4}[-\w.~+/]{10}",
    r"passw\w{0,8} \S*\d",
    *commands.SIGNS,
    *sentences.SIGNS,
    r"\"kty\\{0,2}\"",
)


def _named_patterns(name: str) -> tuple[str, ...]:
    quote, line = _QUOTE, _NEWLINE
    element = rf"(?:[-\w.]{{1,40}}:)?([-\w.]{{0,40}}{name}|{SHORT})"
    return (
        rf"{_OPEN}{element}(?:\s[^<>&]{{0,256}}?)?{_CLOSE}\s{{0,8}}([^<&%\s].*?)(?:{_OPEN}|\z)",
        rf"<{element}(?:\s[^<>]{{0,256}})?>\s{{0,8}}<!\[CDATA\[(.*?)(?:\]\]>|\z)",
        rf"\bname: ?{quote}?([-\w.]{{0,60}}{name}){quote}?(?:\s|\\n|,){{1,20}}"
        rf"value: ?{quote}?([^\s\"',}}\\]+)",
        rf"@([-\w.]{{0,40}}{name}) n?(?:var)?char(?:\(\w+\))?\s?=\s?N?'([^']+)'",
        rf"<{element}\s[^<>]{{0,256}}?\bvalue={quote}([^\"'<>]+)",
        rf"<(?:key|name)>([-\w.]{{0,40}}{name})</\w+>\s{{0,8}}<\w+>([^<]+)",
        rf"\s(?:name|key|id)={quote}([-\w.:]{{0,60}}{name}){quote}[^<>]{{0,80}}>"
        r"\s{0,8}(?:<value>)?([^<\s][^<]*)",
        rf"(?:name|type)=(?:{quote})?([-\w.:]{{0,60}}{name})(?:{quote})?\s[^<>]{{0,80}}?"
        rf"(?:value|content)=(?:{quote})?([^\"'<>\s]+)",
        rf"name={quote}?([-\w.\[\]]{{1,60}}){quote}?[^\n\\]{{0,120}}{line}"
        rf"(?:[-\w]{{1,60}}:[^\n\\]{{0,120}}{line}){{0,4}}{line}(.*?)(?:{line}--|\z)",
    )


def _build_fixed() -> tuple[tuple[str, Any], ...]:
    """Return (kind, pattern) of what needs no name of ours; group 1 is the secret."""
    rules = (
        ("parameter", rf"{_MARK_URL}(?:{PARAMETERS}){_EQUALS_URL}({_PARAMETER_VALUE})"),
        ("url_userinfo", r"%3a%(?:25){0,2}2f%(?:25){0,2}2f([^\s&\"'/]{1,256}?)%(?:25){0,2}40"),
        ("url_userinfo", r"[-\w.]{1,64}:([^\s\"'@]{1,128})@(?:tcp|unix)\("),
        ("bearer", rf"(?:bearer|basic|apikey|geniekey|privatetoken)(?: +|\+|%20)({_CREDENTIAL})"),
        ("scheme", rf"(?:^|\W)(?:token|sharedkey|sharedkeylite|negotiate|ntlm) +({_HASHED})"),
        ("parameter", rf"(?:^|[\s\"'])(?:code|assertion)=({_PARAMETER_VALUE})&\w+="),
        ("named", rf"(?:token|api[-_ ]?key)s?(?: provided)?[:= ] ?[\[<'\"`(]?({_LONG})"),
        ("named", r"with (?:the )?passw\w{0,8} [\"'`]?([^\s\"'`]{6,})"),
        ("bearer", r"base64url\.bearer\.authorization\.k8s\.io\.([-\w]{8,})"),
        ("bearer", r"sec-websocket-protocol\W{1,6}bearer, ?([-\w.~+/=]{8,})"),
        ("key", r"(?:pgp_sym|aes)_(?:en|de)crypt\w{0,8}\s?\([^()]*?,\s*'([^']+)'"),
    )
    return tuple((kind, compile_pattern(rule, has_groups=True)) for kind, rule in rules)


def _is_credible(kind: str, value: bytes) -> bool:
    plain = value.lower().strip()
    if kind == "parameter":
        is_number = plain.isdigit() and len(plain) <= 3
        return not (is_number or plain in _SWITCHES or _PLACEHOLDER.search(plain))
    if kind == "bearer":
        return len(value) > 3 and not _LOWER_ONLY.search(value)
    if kind in ("scheme", "named"):
        return bool(_DIGIT.search(value))
    if kind == "command":
        return bool(plain) and plain.split()[-1] not in _PLAIN and not _PLACEHOLDER.search(plain)
    return True


def _find_user_information(data: bytes) -> Iterator[Span]:
    """Find `user:password` before the host of URLs, with whatever signs the password has."""
    for match in _URL.finditer(data):
        rest, start = match.group(1), match.start(1)
        if b"@" not in rest:
            continue
        authority = _authority(rest)
        end = authority.rfind(b"@")
        user, colon, password = authority.partition(b":")
        if colon and (end >= 0 or not _PORT_OR_NOTHING.search(password)):
            # a password may hold / ? # and @: it ends at the last @ that a host follows
            at = rest.rfind(b"@")
            while at > end and (rest[at - 1 : at] == b"/" or not _HOST.search(rest[at + 1 :])):
                at = rest.rfind(b"@", 0, at)
            end = max(at, end)
        if end > 0:
            yield start, start + end, "url_userinfo"


def _authority(rest: bytes) -> bytes:
    """Return what stands before the path, query and fragment of a URL without its scheme."""
    ends = [at for at in (rest.find(sign) for sign in (b"/", b"?", b"#")) if at >= 0]
    return rest[: min(ends)] if ends else rest


def _read_name(data: bytes, start: int, end: int) -> str:
    """Return the whole name that a match from *start* to *end* is the last part of."""
    limit = max(0, start - _MAX_NAME_BYTES)
    while start > limit and data[start - 1] in _NAME_BYTES:
        start -= 1
    return _clean_name(data[start:end])


def _clean_name(name: bytes) -> str:
    text = name.decode("utf-8", "replace").strip()
    for encoded in ("%5B", "%5D", "%5b", "%5d", "[", "]"):
        text = text.replace(encoded, ".")
    return text.strip(".%-\"'`\\:&?;#,({ \n\t")


def _find_closing(data: bytes, at: int, opening: bytes) -> int:
    """Return where the text ends that *opening*, a quote with its backslashes, has begun."""
    if opening[:1] in b"&%":
        end = data.find(opening, at)
        return end if end >= 0 else len(data)
    sign, depth = opening[-1:], len(opening) - 1
    end = data.find(sign, at)
    while end >= 0:
        backslashes = 0
        while end - backslashes > at and data[end - backslashes - 1] == 0x5C:
            backslashes += 1
        if depth and backslashes <= depth:
            return end - backslashes
        if not depth and backslashes % 2 == 0:
            return end
        end = data.find(sign, end + 1)
    return len(data)


class _Ends:
    """
    Where values end in one text.

    Many values may end at one place, and each place is looked for once: a text of a million names
    in one line is read once and not a million times.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._last: dict[Any, tuple[int, int]] = {}

    def find(self, pattern: Any, at: int) -> int:
        """Return where *pattern* is found from *at* on, else the end of the text."""
        begin, end = self._last.get(pattern, (1, 0))
        if begin <= at <= end:
            return end
        match = pattern.search(self._data, at)
        end = match.start() if match else len(self._data)
        self._last[pattern] = at, end
        return end


def _trim(data: bytes, start: int, end: int, signs: bytes = b" \r\n\t") -> tuple[int, int]:
    while start < end and data[start] in signs:
        start += 1
    while end > start and data[end - 1] in signs:
        end -= 1
    return start, end


def _merge(data: bytes, found: list[Span]) -> list[Span]:
    merged: list[Span] = []
    for start, end, kind in sorted(found):
        if start >= end or has_mark(data, start) or has_mark(data, start - 1):
            continue
        if merged and start < merged[-1][1]:
            first, last, first_kind = merged[-1]
            merged[-1] = (first, max(last, end), first_kind)
        else:
            merged.append((start, end, kind))
    return merged
