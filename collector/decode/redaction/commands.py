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
    (
        r"mongo\w{0,6}|cqlsh|influx|useradd|usermod|psexec\w{0,4}|twine|cypher-shell|ncftp\w{3}"
        r"|rdesktop|beeline|certutil|(?:oc|crane|skopeo|helm)\b.{0,30}\blogin|(?:docker|podman|az|registry|oras)\b.{0,40}\blogin",
        "-p",
        "",
    ),
    ("nuget", "-k", ""),
    ("openssl", "-psk", ""),
    ("signtool", "/p", ""),
    ("schtasks", "/rp", ""),
    ("lftp", "-u", r"[^\s,]+,"),
    (r"doctl\b.{0,20}\bauth", "-t", ""),
    (r"snmp\w{2,10}", "-c", ""),
    (r"sqlcmd|osql|isql|bcp|mosquitto_\w+|ipmitool|unzip|zip", "-P", ""),
    ("p4|knife", "-P", ""),
    (r"ldap\w{3,10}", "-w", ""),
    (r"redis-cli|valkey-cli", "-a", ""),
    ("plink|pscp|psftp|putty|cassandra|cqlsh", "-pw", ""),
    ("openssl", "-[kK]", ""),
    ("ssh-keygen", "-N", ""),
    (r"snmp\w{2,10}", "-[AX]", ""),
    ("https?|xhs?", "-a", r"[^\s:'\"]+:"),
    ("etcdctl|curl|wget", "(?:-[uU]|--user|--proxy-user)", r"[^\s:'\"]+:"),
    ("smbclient|rpcclient|winexe", "-U", r"[^\s%]+%"),
    ("curl", "(?:-b|--cookie)", r"[^\s='\"]+="),
)
_KEY_OF_REDIS = r"[\"']?[^\s\"']*(?:session|token|secret|passw\w*|otp)[^\s\"']*:[^\s\"']*[\"']?"
_NAME_PART = r"(?:passw|pass\b|pwd|secret|token|credential|api_?key|private_?key)"
_RULES = (
    *(
        rf"\b(?:{programs})\b[^\n]{{0,120}}?[\s\"'](?-i:{flag}){_GAP}{before}{_VALUE}"
        for programs, flag, before in _FLAGS
    ),
    rf"\b(?:mysql|mariadb|7z|unrar|rar)\w{{0,10}}\b[^\n]{{0,120}}?[\s\"'](?-i:-p)['\"]?{_VALUE}",
    rf"sshpass\b[\s\"',]{{1,4}}(?-i:-p)(?:{_GAP})?{_VALUE}",
    rf"curl\b[^\n]{{0,120}}?\s-u[^\s:'\"]+:{_VALUE}",
    rf"(?:xfreerdp|mstsc)\b[^\n]{{0,120}}?\s/p:{_VALUE}",
    r"(?:sqlplus|expdp|impdp|rman|tnsping)\b[^\n]{0,40}?\s[^\s/-][^\s/]*/([^\s@]+)@",
    r"jdbc:oracle:\w+:[^\s/:@]+/([^\s@]+)@",
    r"\bconfig(?:ure)? set \S*(?:secret|token|auth|passw|key)\w* (\S+)",
    r"rabbitmqctl\b[^\n]{0,40} (?:add_user|change_password) \S+ (\S+)",
    r"htpasswd -\w*b\w* \S+ \S+ (\S+)",
    r"\blogin \S+ password (\S+)",
    r"\bnet use [^\n]{1,120}/user:\S+ ([^\s/]\S*)",
    r"\bnet user \S+ ([^\s/]\S*)",
    r"[^\s:\"']+:([^\s\"']+)[\"']?\s*\|\s*(?:sudo )?chpasswd",
    r"\becho (?:-n )?[\"']?([^\s\"']+)[\"']?\s*\|(?:[^|\n]{1,80}--password-stdin|\s*sudo -S"
    r"|\s*(?:sudo )?passwd --stdin|\s*kinit)",
    r"\bkinit\b[^|\n]{0,60}<<< ?[\"']?([^\s\"']+)",
    r"mysqladmin\b[^\n]{0,80} password ['\"]?([^\s'\"-][^\s'\"]*)",
    r"wpa_passphrase [\"']?[^\s\"']+[\"']? [\"']?([^\s\"']{8,})",
    r"convertto-securestring (?:-string )?[\"']?([^\s\"'$(-][^\s\"']*)",
    r"\b(?:cargo|vault) login (?:-\S+ )*([^\s-]\S{7,})",
    r"\bvault (?:kv )?(?:put|write|patch) (?:-\S+ )*\S+ (?:\S+=\S+ ){0,8}\w+=[\"']?([^\s\"'@]\S*)",
    rf"\bconsul kv put \S*{_NAME_PART}\S* [\"']?([^\s\"'@][^\s\"']*)",
    r"\b(?:fly(?:ctl)?|heroku|wrangler|gh|supabase) (?:secrets?|config)[: ](?:set|put)"
    r" (?:-\S+ \S+ )?(?:\S+=\S+ ){0,8}\w+=[\"']?([^\s\"']+)",
    rf"(?-i:^|\n)\s{{0,8}}(?-i:ENV|ARG|SetEnv|fastcgi_param|uwsgi_param)"
    rf" \S*{_NAME_PART}\S* +[\"']?([^\s\"'$][^\s\"';]*)",
    r"\bmc alias set \S+ \S+ \S+ ([^\s-]\S*)",
    r"\b(?:composer|poetry|bundle) config (?:-\S+ )*(?:http-basic\.\S+ \S+|github-oauth\.\S+"
    r"|pypi-token\.\S+|gems?\.\S+ [^\s:]+:) ?(\S{6,})",
    r"\bvault (?:operator )?(?:unseal|token \w+) ([^\s-]\S{7,})",
    r"\bbcp\b[^\n]{0,120}?\s(?-i:-P)([^\s\"',-]\S*)",
    r"\bisql (?:-\S+ )*\S+ \S+ ([^\s-]\S*)",
    r"\bnet use [^\n/]{1,120} (\S+) /user:",
    r"-dsonar\.login=(\S+)",
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
    r"[ \"'](?-i:-(?:pw|psk|[pPwakKuUANXbtc]))[ =\"']",
    r"[ \"'](?-i:-[pu])[^\s-]",
    r"\x0a[\x00-\x7f](?-i:-(?:pw|psk|[pPwakKuUANXbtc]))",
    r"[ \"']--(?:user|proxy-user|cookie)[ =\"']",
    r" /p:|/user:",
    r"chpasswd|--password-stdin|rabbitmqctl|htpasswd|sqlplus|jdbc:oracle|sudo -S|--stdin|kinit\b"
    r"|wpa_passphrase|convertto-securestring|(?:cargo|vault) login"
    r"|vault (?:kv )?(?:put|write|patch)|consul kv put|(?:secrets?|config)[: ](?:set|put) "
    r"|-dsonar\.login|impdp|expdp|tnsping|mc alias set|(?:composer|poetry|bundle) config"
    r"|vault (?:operator|unseal|token)|[ \"']/r?p |bcp |isql ",
    rf"(?-i:ENV|ARG|SetEnv|fastcgi_param|uwsgi_param) \S*{_NAME_PART}",
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
