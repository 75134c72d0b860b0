"""
Secrets in command lines of programs that take them by short flags or by their place.

Flags with a telling name (`--password`) are found by `texts.py`.

Source: the manuals of the programs named here; the protocol of Redis.
"""

from typing import Any

from collector.decode.redaction.names import compile_pattern

# what stands between a flag and its value, in a line and in a list of texts
_GAP = r"(?:[ =]|[\"'], ?)[\"']?"
_VALUE = r"([^\s\"',-][^\s\"']*)"
_LINE = r"(?:\r\n|\\r\\n)"
# a program, its flag, what stands before the value
_FLAGS = (
    (r"mongo\w{0,6}|cqlsh|influx|(?:docker|podman|az|registry|oras)\b.{0,40}\blogin", "-p", ""),
    (r"sqlcmd|osql|isql|bcp|mosquitto_\w+|ipmitool|unzip|zip", "-P", ""),
    (r"ldap\w{3,10}", "-w", ""),
    (r"redis-cli|valkey-cli", "-a", ""),
    ("plink|pscp|psftp|putty", "-pw", ""),
    ("openssl", "-[kK]", ""),
    ("ssh-keygen", "-N", ""),
    (r"snmp\w{2,10}", "-[AX]", ""),
    ("https?|xhs?", "-a", r"[^\s:'\"]+:"),
    ("etcdctl|curl|wget", "(?:-[uU]|--user|--proxy-user)", r"[^\s:'\"]+:"),
    ("smbclient|rpcclient|winexe", "-U", r"[^\s%]+%"),
    ("curl", "(?:-b|--cookie)", r"[^\s='\"]+="),
)
_KEY_OF_REDIS = r"[\"']?[^\s\"']*(?:session|token|secret|passw\w*|otp)[^\s\"']*:[^\s\"']*[\"']?"
_RULES = (
    *(
        rf"\b(?:{programs})\b[^\n]{{0,120}}?[\s\"'](?-i:{flag}){_GAP}{before}{_VALUE}"
        for programs, flag, before in _FLAGS
    ),
    rf"\b(?:mysql|mariadb|7z)\w{{0,10}}\b[^\n]{{0,120}}?[\s\"'](?-i:-p)['\"]?{_VALUE}",
    rf"sshpass\b[\s\"',]{{1,4}}(?-i:-p)(?:{_GAP})?{_VALUE}",
    rf"curl\b[^\n]{{0,120}}?\s-u[^\s:'\"]+:{_VALUE}",
    rf"(?:xfreerdp|mstsc)\b[^\n]{{0,120}}?\s/p:{_VALUE}",
    r"(?:sqlplus|expdp|impdp|rman)\b[^\n]{0,40}?\s[^\s/-][^\s/]*/([^\s@]+)@",
    r"jdbc:oracle:\w+:[^\s/:@]+/([^\s@]+)@",
    r"\bconfig(?:ure)? set \S*(?:secret|token|auth|passw|key)\w* (\S+)",
    r"rabbitmqctl\b[^\n]{0,40} (?:add_user|change_password) \S+ (\S+)",
    r"htpasswd -\w*b\w* \S+ \S+ (\S+)",
    r"\blogin \S+ password (\S+)",
    r"\bnet use [^\n]{1,120}/user:\S+ ([^\s/]\S*)",
    r"\bnet user \S+ ([^\s/]\S*)",
    r"[^\s:\"']+:([^\s\"']+)[\"']?\s*\|\s*(?:sudo )?chpasswd",
    r"\becho (?:-n )?[\"']?([^\s\"']+)[\"']?\s*\|[^|\n]{1,80}--password-stdin",
    # Redis and what speaks its protocol
    r"(?:^|[\n\"'`>])\s?(?-i:AUTH) +([^\s\"']+(?: +[^\s\"']+)?)\s*(?:$|[\n\"'`])",
    r"^auth +([^\s\"']*\d[^\s\"']*)$",
    r"\b(?-i:AUTH2?) +(?:[^\s\"':]+ +)?([^\s\"':]*\d[^\s\"':]{4,})",
    r"\"(?-i:AUTH2?)\" +\"([^\"]+(?:\" +\"[^\"]+)?)\"",
    rf"(?-i:AUTH){_LINE}((?:\$\d{{1,6}}{_LINE}[^\s\\]+(?:{_LINE})?){{1,2}})",
    r"hello \d (?-i:AUTH) +\S+ +([^\s\"']+)",
    r"(?:requirepass|masterauth) +[\"']?([^\s\"']+)",
    r"acl setuser [^\n>]*[>#<]([^\s\"']+)",
    r"\b(?-i:HM?SET|HSETNX) [^\n]*?(?:passw\w*|secret|token|pwd) [\"']?([^\s\"']+)",
    rf"\b(?:p?setex|set(?:nx)?|getset) {_KEY_OF_REDIS}(?: \d+)? [\"']?([^\s\"']+)",
)
# What tells that there may be one: programs are looked at afterwards, to look for them in
# everything would be slow.
SIGNS = (
    r"[ \"'](?-i:-(?:pw|[pPwakKuUANXb]))[ =\"']",
    r"[ \"'](?-i:-[pu])[^\s-]",
    r"\x0a[\x00-\x7f](?-i:-(?:pw|[pPwakKuUANXb]))",
    r"[ \"']--(?:user|proxy-user|cookie)[ =\"']",
    r" /p:|/user:",
    r"chpasswd|--password-stdin|rabbitmqctl|htpasswd|sqlplus|jdbc:oracle",
    r"config(?:ure)? set |login \S+ password |net user \S",
    rf"(?:setex|set|setnx|getset) {_KEY_OF_REDIS} ",
    r"(?-i:HM?SET|HSETNX) [^\x00-\x1f]{0,80}(?:passw|secret|token|pwd)",
    r"(?-i:AUTH2?)(?:\"? |\r\n|\\r\\n)",
    r"(?:^|[\x00-\x7f])auth +\S*\d",
    r"(?:requirepass|masterauth) +\S",
    r"acl setuser ",
)
_SIGN = compile_pattern(*SIGNS)
_COMPILED = tuple(compile_pattern(rule, has_groups=True) for rule in _RULES)


def find_commands(data: bytes) -> list[Any]:
    """Return a match for each command with a secret, which is its group 1."""
    if not _SIGN.search(data):
        return []
    return [match for rule in _COMPILED for match in rule.finditer(data)]
