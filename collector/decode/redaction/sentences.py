"""
Secrets that only their surroundings tell: in the path of a URL, in prose, in a call's place.

What stands there may as well be a word, a name or an id. So a value is a secret if it looks drawn
by lot: capitals, small letters and digits, or a long run of letters and digits without a gap.

Source: RFC 8628 (device codes); the manuals of Infura, Alchemy, QuickNode, Telegram, Mattermost,
Subsonic, OpenWeather, Akamai; ClickHouse's table functions, T-SQL's and PostgreSQL's functions.
"""

from collections.abc import Callable
from typing import Any

from collector.decode.redaction.names import compile_pattern

_VALUE = r"[-\w.~+/=$!@#%^&*]"
_SEGMENT = r"[-\w.~=]"
_USER = r"[-\w.@+]{1,64}"
# segments behind which a link holds what lets its owner in, whatever it looks like
_LINKS = (
    r"(?:(?:re)?set|forgot|recover|change|create|new)[-_]?passw(?:or)?d|passw(?:or)?d[-_]?"
    r"(?:reset|recovery)|passw(?:or)?ds?/(?:reset|edit|new|forgot|recover)|(?:verify|confirm)"
    r"(?:[-_]?(?:e-?mail|account|user|registration))?|e-?mail[-_/]?(?:verif\w{1,9}|confirm\w{0,8})"
    r"|activat(?:e|ion)(?:[-_]?account)?|magic(?:[-_]?links?)?|unsubscribe|one[-_]time[-_]\w{2,8}"
)
# behind these stand ids just as well
_PLACES = (
    r"sessions?|tokens?|(?:api|access|auth)?[-_]?keys?|invit(?:es?|ations?)|(?:web)?hooks?|bot"
    r"|(?:web)?hooks?/[-\w@]{1,40}|services/T\w{1,12}/B\w{1,12}|login/(?:callback|token|link)"
    r"|incomingwebhook/\w{1,40}|sso/\w{1,12}"
)
_SAID = (
    r"passw\w{0,8}|passphrase|passcode|pwd|secret|sess(?:ion)?(?:[-_ ]?(?:id|key))?"
    r"|(?:jsession|phpsess)id|(?:licen[cs]e|using|with|decryption|encryption|signing|master|private|shared|secret"
    r"|unseal|recovery|isakmp|server) key(?: \d{1,2})?(?: \(\w{1,8}\))?|pre-shared-key|community"
    r"|wpa-psk"
    r"|(?:one-time|verification|security|login|sms|access|your|pin|invite) code|otp|pin|nonce"
    r"|authorization|cookie|jwt(?: malformed)?|csrf(?: token)?|hmac(?: mismatch)?"
    r"|signature(?: mismatch)?|hashedsecret|credentials?"
)
_BETWEEN = (
    r"(?:[:=,]? (?:was|is|value|header|provided|expected|got|of|set to|changed to|ascii))?"
    r"(?:-text)?(?: \d)?"
    r"(?:[:=] ?|[, ]| ?[|\t\n] ?|\\[nt])"
)
_QUOTED = r"\s{0,2}N?'([^']+)'"
_NUMBERED = (
    r"(?:\b(?:otp|totp|mfa|pin)(?: code)?|(?:one-time|verification|security|login|sms|access|2fa"
    r"|your) (?:pass)?code)(?: is| was)?:? [\"'\[(]?"
)
_TABLE = r"[\w.`\"\[]{0,40}(?:token|secret|passw(?:or)?d|credential|session|api_?key)s?"
# ids stand there too, and the value of a key
_COLUMN = r"(?:\w{1,40}\.)?(?:id|key|value|hash|[kv])"
# parameters that hold as well a word, a number or the hash of something that is no secret
_GENERAL = (
    "invit(?:e|ation)|activat(?:e|ion)|confirm(?:ation)?|verify|reset|unsubscribe|licen[cs]e|access"
    "|private|serial|state|policy|hash|mac|[hkpt]"
)
# between a value and the name that comes after it
_IS_NAMED = (
    r"[\"'`]? (?:(?:not )?in|as|is (?:not )?(?:an? |the )?(?:(?:in)?valid |(?:un)?known |wrong )?)"
    r" ?(?:an? |the )?"
)
_AFTER = r"\w{0,40}(?:token|secret|passw(?:or)?d|credential|api[-_ ]?key)"


def looks_random(value: bytes) -> bool:
    """Tell whether *value* looks drawn by lot: no word, name, number, path, id or hash."""
    if len(value) < 8 or not _DIGIT.search(value) or _ID.search(value):
        return False
    if _LOWER.search(value) and _UPPER.search(value):
        return not _WORDS.search(value)
    return len(value) >= 16 and bool(_RUN.search(value))


def _is_link(value: bytes) -> bool:
    return bool(_DIGIT.search(value)) and not value.isdigit()


def _is_anything(value: bytes) -> bool:
    return bool(value)


_DIGIT = compile_pattern(r"\d")
_LOWER = compile_pattern("(?-i:[a-z])")
_UPPER = compile_pattern("(?-i:[A-Z])")
# UUIDs, the hex digits of hashes and of trace ids, times, ULIDs, names of AWS
_ID = compile_pattern(
    r"^(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[-0-9a-f:.]+|\d[-\d:.tz+]*"
    r"|(?:[a-z]{1,12}_)?(?-i:[0-7][0-9A-HJKMNP-TV-Z]{25})|arn:.*)$"
)
# CamelCase with a number, versions, host names, paths: words with signs or capitals between
_WORDS = compile_pattern(
    r"(?-i:^\W{0,2}(?:[A-Z][a-z]+|[a-z]{3,}|[A-Z]{3,}|\d{1,4}|v\d+|[a-z]{1,2})"
    r"(?:[-_./:@]?(?:[A-Z][a-z]+|[a-z]{3,}|[A-Z]{2,}|v?\d{1,4}))*$)"
)
_RUN = compile_pattern(r"^[a-z0-9+/=]{16,}$")

_Check = Callable[[bytes], bool]
_RULES: tuple[tuple[str, str, _Check], ...] = (
    ("path", rf"/(?:{_LINKS})/({_SEGMENT}{{16,}})", _is_link),
    ("path", rf"/(?:{_PLACES})/({_SEGMENT}{{16,}})", looks_random),
    ("path", r"infura\.io/(?:ws/)?v3/([-\w]{16,})", _is_link),
    ("path", r"alchemy(?:\.com|api\.io)/(?:\w{1,8}/)?v\d/([-\w]{16,})", _is_link),
    ("path", r"quiknode\.pro/([-\w]{16,})", _is_link),
    ("path", r"/bot\d{6,}:([-\w]{16,})", _is_link),
    ("parameter", r"[?&]p=enc:(\w{4,})", _is_anything),
    ("parameter", r"[?&]t=([0-9a-f]{32})&s=\w{4,}", _is_anything),
    ("parameter", r"[?&]appid=([0-9a-z]{20,})", _is_link),
    (
        "parameter",
        rf"[?&](?:{_GENERAL})=({_SEGMENT}{{12,}})",
        looks_random,
    ),
    ("named", rf"(?:^|[\s;\"'])(?-i:KEY)=[\"']?({_VALUE}{{8,}})", looks_random),
    ("named", rf"(?:^|[\s\"'])--?key(?: |=|[\"'], ?)[\"']?({_VALUE}{{8,}})", looks_random),
    ("named", rf"({_VALUE}{{8,}}){_IS_NAMED}{_AFTER}", looks_random),
    ("named", rf"\b(?:{_SAID}){_BETWEEN}[\"'`\[(<]?({_VALUE}{{8,}})", looks_random),
    ("named", rf"\b(?:passw\w{{0,8}}|passphrase) [\"'`\[(<]({_VALUE}{{6,}})", _is_link),
    ("named", rf"{_NUMBERED}(\d{{4,8}})\b", _is_anything),
    ("named", rf"passw\w{{0,8}} for (?:user )?{_USER}(?::| is| was| =) (\S{{4,}})", _is_link),
    (
        "named",
        r"(?:credentials?|creds|authenticated (?:with|as|by)|logg?(?:ed|ing) in (?:as|with)"
        r"|(?:log-?in|authentication) (?:failed|failure|attempt|error) (?:for|as|by|of)"
        rf"|lookup|basic auth)[: ]{{1,2}}{_USER}[:/]([^\s\"'@]{{6,}})",
        looks_random,
    ),
    ("named", r"\b[-\w.]{1,64}:([-\w.~+=$!#%^&*]{6,64})@[-\w.]", looks_random),
    ("named", r"\bcubrid:[^:\s]*:\d+:[^:\s]*:[^:\s]*:([^:\s]+)", _is_anything),
    (
        "named",
        rf"(?:passw(?:or)?d|token)[^:\n]{{0,60}}:\s{{1,6}}[\"'`]?({_VALUE}{{8,}})",
        looks_random,
    ),
    ("named", r"(?:seed phrase|mnemonic)(?: is)?: ?[\"'\[]?([a-z0-9][^\"'\n]{7,})", _is_anything),
    (
        "named",
        r"(?:^|[\s:])(?:pass|(?-i:LOGIN|OPER) \"?[^\s\"]{1,64}\"?|login [\w.@-]{1,64}"
        r"|identify) [\"']?([^\s\"']{6,})",
        looks_random,
    ),
    ("named", r"\bsips?:[^:@\s]{1,64}:([^@\s:]{1,64})@", _is_anything),
    ("named", r"\b[\w$#]{1,30}/([^\s/@\"']{4,64})@(?://)?[-\w.]+:1521\b", _is_anything),
    (
        "call",
        rf"\b(?:log_?in|sign_?in|authenticate|auth)\([\"']?{_USER}[\"']?, ?"
        r"[\"']?([^\"',)\s]{6,})",
        looks_random,
    ),
    ("call", rf"\bpdo\b[^()]{{0,16}}\([^()]{{0,200}}, ?'[^']*',{_QUOTED}", _is_anything),
    ("call", rf"bind(?:_s)?\([^()]{{1,200}},{_QUOTED}", _is_link),
    ("call", rf"(?:passw\w{{0,8}}|token|secret|api_?key)\([\"']?({_VALUE}{{6,}})", looks_random),
    ("call", r"at\+cwjap\w{0,8}=\"[^\"]*\",\"([^\"]+)\"", _is_anything),
    ("call", rf"sp_addlogin\s+N?'[^']*',{_QUOTED}", _is_anything),
    ("call", rf"sp_password{_QUOTED}", _is_anything),
    ("call", rf"sp_password\s+N?'[^']*',{_QUOTED}", _is_anything),
    (
        "call",
        r"\b(?:s3|s3cluster|gcs|oss|cosn)\(\s{0,4}(?:'[^']*',\s{0,4}){2}'([^']+)'",
        looks_random,
    ),
    (
        "call",
        r"\b(?:mysql|postgresql|mongodb|remotesecure|remote)\(\s{0,4}(?:[^,()]*,){4}" + _QUOTED,
        _is_anything,
    ),
    ("call", rf"\bcrypt\({_QUOTED}", _is_anything),
    ("call", rf"\b(?:md5|sha\d{{0,3}}|password)\({_QUOTED}\)\s?=\s?\S{{0,40}}passw", _is_anything),
    ("call", rf"passw\w{{0,8}}[\"'`]? ?= ?(?:md5|sha\d{{0,3}}|password)\({_QUOTED}", _is_anything),
    ("call", rf"\bsecret{_QUOTED}", _is_link),
    (
        "call",
        rf"\b(?:from|update) {_TABLE}\W{{1,3}}[^;]{{0,200}}?\bwhere \W?"
        rf"{_COLUMN}\W{{1,4}}'([^']{{8,}})'",
        looks_random,
    ),
    ("call", r"\$eq\\?[\"']\s?:\s?\\?[\"']([^\"'\\]{8,})", looks_random),
    (
        "call",
        rf"insert into {_TABLE}\W{{1,3}}values\W[^;]{{0,400}}?"
        r"'([^']{8,})'",
        looks_random,
    ),
)
# What a search must look for. Each begins as its rule does, but for \b: in a serialized message a
# length byte stands before a text, and it can be a letter.
SIGNS = (
    rf"/(?:{_LINKS})/{_SEGMENT}{{16}}",
    rf"/(?:{_PLACES})/(?:[\w.~=]{{9}}|[\w.~=]{{0,7}}-|\w{{8}}-(?:\w{{0,3}}-|\w{{5}}))",
    r"(?:infura\.io|alchemy|quiknode\.pro)\S{0,20}/[-\w]{16}|/bot\d{6}",
    r"[?&](?:p=enc:|t=[0-9a-f]{32}&s=|appid=[0-9a-z]{20})",
    rf"[?&](?:{_GENERAL})={_SEGMENT}{{12}}",
    rf"(?-i:KEY)=[\"']?{_VALUE}{{8}}|-key(?: |=|[\"'], ?)[\"']?{_VALUE}{{8}}",
    rf"{_IS_NAMED}{_AFTER}",
    rf"(?:{_SAID}){_BETWEEN}[\"'`\[(<]?{_VALUE}*\d",
    rf"{_NUMBERED}\d{{4}}".replace(r"\b", ""),
    rf"passw\w{{0,8}} for (?:user )?{_USER}(?::| is| was| =) \S",
    r"(?:authenticated (?:with|as|by)|logg?(?:ed|ing) in (?:as|with)|lookup|basic auth"
    r"|(?:log-?in|authentication) (?:failed|failure|attempt|error) (?:for|as|by|of)"
    rf"|cred(?:ential)?s?)[: ]{{1,2}}{_USER}[:/]",
    r"sips?:[^:@\s]{1,64}:[^@\s:]{1,64}@|:1521|cubrid:|seed phrase|mnemonic|at\+cwjap",
    r":[-\w.~+=$!#%^&*]{6,64}@[-\w.]|(?:passw(?:or)?d|token)[^:\n]{0,60}:\s{1,6}\S*\d",
    r"pass \S*\d|(?-i:LOGIN|OPER) \S+ \S*\d|login [\w.@-]{1,64} \S*\d|identify \S*\d",
    rf"pdo[^()]{{0,16}}\(|bind(?:_s)?\([^()]{{1,200}},|(?:passw\w{{0,8}}|token|secret|api_?key)\([\"']?{_VALUE}",
    rf"(?:log_?in|sign_?in|authenticate|auth)\([\"']?{_USER}[\"']?, ?",
    r"sp_addlogin|sp_password|crypt\(|(?:md5|sha\d{0,3}|password)\(\s?'",
    r"(?:s3|s3cluster|gcs|oss|cosn|mysql|postgresql|mongodb|remotesecure|remote)\(\s{0,4}'",
    r"secret\s{0,2}'|\$eq\\?[\"']",
    rf"insert into {_TABLE}\W{{1,3}}values",
    rf"(?:from|update) {_TABLE}\W{{1,3}}[^;]{{0,200}}where \W?{_COLUMN}\W{{1,4}}'",
    r"kind:\s{0,4}[\"']?(?-i:Secret)\b",
)
# what Kubernetes keeps secrets in, as YAML: whatever the names, all values are
_MANIFEST = compile_pattern(r"kind:\s{0,4}[\"']?(?-i:Secret)\b")
_MANIFEST_DATA = compile_pattern(
    r"(?:^|\n)\s{0,20}(?:string)?data:[ \t]*((?:\r?\n[ \t]+[-\w.]+:[^\n]*)+)", has_groups=True
)
_MANIFEST_VALUE = compile_pattern(r"\n[ \t]+[-\w.]+: ?([^\r\n]+)", has_groups=True)
_COMPILED = tuple(
    (kind, compile_pattern(pattern, has_groups=True), check) for kind, pattern, check in _RULES
)


def find_sentences(data: bytes) -> list[tuple[int, int, str]]:
    """Return start, end and kind of each secret that its surroundings tell."""
    found: list[tuple[int, int, str]] = []
    for kind, pattern, check in _COMPILED:
        found += (
            (*_bounds(match), kind) for match in pattern.finditer(data) if _holds(match, check)
        )
    if _MANIFEST.search(data):
        for block in _MANIFEST_DATA.finditer(data):
            found += (
                (block.start(1) + value.start(1), block.start(1) + value.end(1), "key")
                for value in _MANIFEST_VALUE.finditer(block.group(1))
            )
    return found


def _bounds(match: Any) -> tuple[int, int]:
    start, end = match.span(1)
    return start, start + len(match.group(1).rstrip(b".,;:!?)]}>'\"")) if end > start else end


def _holds(match: Any, check: _Check) -> bool:
    return check(match.group(1).rstrip(b".,;:!?)]}>'\""))
