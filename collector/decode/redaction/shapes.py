"""
Secrets that are known by their shape: tokens that vendors mark with a prefix, keys, card numbers.

Source: each vendor's own documentation of its token format, named beside it; RFC 7519 (JWT);
RFC 7468 (PEM); ISO/IEC 7812 (card numbers).
"""

import re

from collector.decode.redaction.names import compile_pattern

# No other product begins its ids like that.
_VENDORS = (
    r"gh[pousr]_[A-Za-z0-9]{30,}",  # GitHub
    r"github_pat_\w{22,}",
    r"gl(?:pat|dt|rt|ptt|ft|soat|agent|cbt|imt|oas)-[-\w.]{20,}",  # GitLab
    r"xox[abeoprs](?:\.xox[bp])?-[-\w.]{10,}",  # Slack
    r"xapp-\d-[-\w]{10,}",
    r"hooks\.slack\.com/(?:services|workflows|triggers)/[-\w/]{20,}",
    r"discord(?:app)?\.com/api/webhooks/\d{10,}/[-\w]{20,}",
    r"[srp]k_(?:live|test)_[A-Za-z0-9]{10,}",  # Stripe
    r"whsec_[A-Za-z0-9+/=]{16,}",
    r"AIza[-\w]{35}",  # Google
    r"ya29\.[-\w.]{20,}",
    r"GOCSPX-[-\w]{20,}",
    r"sk-(?:proj|svcacct|admin|ant|or|lf)-[-\w]{20,}",  # OpenAI, Anthropic, OpenRouter, Langfuse
    r"npm_[A-Za-z0-9]{30,}",
    r"pypi-[-\w]{16,}",
    r"rubygems_[0-9a-f]{32,}",
    r"dckr_(?:pat|oat)_[-\w]{20,}",  # Docker
    r"SG\.[-\w]{16,}\.[-\w]{32,}",  # SendGrid
    r"do[oprt]_v1_[0-9a-f]{32,}",  # DigitalOcean
    r"hv[sbr]\.[-\w]{20,}",  # HashiCorp Vault
    r"[A-Za-z0-9]{14}\.atlasv1\.[-\w=]{40,}",  # HCP Terraform
    r"dapi[0-9a-f]{32}(?:-\d)?",  # Databricks
    r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}",  # Shopify
    r"sq0(?:atp|csp|idp)-[-\w]{20,}",  # Square
    r"hf_[A-Za-z0-9]{30,}",  # Hugging Face
    r"lin_(?:api|oauth)_[A-Za-z0-9]{30,}",  # Linear
    r"ntn_[A-Za-z0-9]{40,}",  # Notion
    r"gls?a_[A-Za-z0-9_]{32,}",  # Grafana
    r"glc_[A-Za-z0-9+/=]{32,}",
    r"NR(?:AK|JS|II)-[A-Za-z0-9]{20,}",  # New Relic
    r"pscale_(?:tkn|pw|oauth)_[-\w.]{30,}",  # PlanetScale
    r"PMAK-[0-9a-f]{24}-[0-9a-f]{34}",  # Postman
    r"sntry[su]_[-\w+/=]{30,}",  # Sentry
    r"sbp_[0-9a-f]{40}",  # Supabase
    r"pul-[0-9a-f]{40}",  # Pulumi
    r"figd_[-\w]{30,}",  # Figma
    r"AT(?:ATT3|BB)[-\w=]{20,}",  # Atlassian
    r"AGE-SECRET-KEY-1[0-9A-Z]{58}",
    r"[\w~.-]{3}\dQ~[\w~.-]{31,}",  # Microsoft Entra client secrets
    r"HRKU-[-\w]{30,}",  # Heroku
    r"FlyV1 [-\w=+/,]{30,}",
    r"gsk_[A-Za-z0-9]{40,}",  # Groq
    r"xai-[A-Za-z0-9]{40,}",
    r"r8_[A-Za-z0-9]{30,}",  # Replicate
    r"dp\.(?:pt|st|ct|sa|scim|audit)\.[-\w.]{30,}",  # Doppler
    r"ops_eyJ[-\w]{50,}",  # 1Password
)
# Prefixes that words and ids end with as well: only where no letter or digit stands before them.
_WHOLE = (
    r"sk-[A-Za-z0-9]{32,}",  # OpenAI, DeepSeek
    r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}",  # AWS
    r"SK[0-9a-f]{32}",  # Twilio
    r"key-[0-9a-f]{32}",  # Mailgun
    r"\d{8,}:AA[-\w]{32,}",  # Telegram
)
_CARD = (
    r"(?:4\d{3}|5[1-5]\d\d|2[2-7]\d\d|6(?:011|5\d\d|4[4-9]\d|2\d\d)|35\d\d)"
    r"[ -]?\d{4}[ -]?\d{4}[ -]?\d{4}"
)
_AMEX = r"3[47]\d\d[ -]?\d{6}[ -]?\d{5}"
_DINERS = r"3(?:0[0-5]|[68]\d)\d[ -]?\d{6}[ -]?\d{4}"
_JWT = r"eyJ[-\w]{10,}\.[-\w]{10,}(?:\.[-\w]*){0,3}"
_PEM = (
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----.*?"
    r"(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\z)"
)
_SSH2 = r"---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----.*?(?:---- END[^-]*----|\z)"
_PUTTY = r"Private-Lines: .*?(?:Private-MAC: [0-9a-f]+|\z)"
# a PEM text in Base64 once more, as Kubernetes secrets hold it
_PEM_BASE64 = r"LS0tLS1CRUdJTi[A-Za-z0-9+/]{20,}={0,2}"

_vendors, _whole = "|".join(_VENDORS), "|".join(_WHOLE)
_LONG_STARTS = (r"[A-Za-z0-9]{14}", r"[\w~.-]{3}")


def _shorten(pattern: str) -> str:
    """Keep what tells that there is a token; what stands before a mark is not looked for."""
    for start in _LONG_STARTS:
        pattern = pattern.replace(start, "")
    return re.sub(r"\{(\d+),\d*\}", r"{\1}", pattern)


# in a serialized message a length byte stands before a text, and it can be a letter
_BEFORE = r"(?:^|[^A-Za-z0-9])"
SEARCH = (
    _shorten(rf"(?-i:{_vendors})"),
    _shorten(rf"(?-i:{_whole})"),
    r"eyJ[-\w]{10,}\.[-\w]{10,}",
    rf"(?:^|[^-\w.])(?:{_CARD}|{_AMEX}|{_DINERS})(?:[^-0-9a-f.]|$)",
    r"PRIVATE KEY(?: BLOCK)? ?----",
    r"Private-Lines: ",
    r"(?-i:LS0tLS1CRUdJTi)",
)
# (kind, pattern); group 1 is the secret
RULES = tuple(
    (kind, compile_pattern(rule, has_groups=True))
    for kind, rule in (
        ("private_key", rf"({_PEM}|{_SSH2}|{_PUTTY})"),
        ("private_key", rf"(?-i:({_PEM_BASE64}))"),
        ("vendor_token", rf"(?-i:({_vendors}))"),
        ("vendor_token", rf"{_BEFORE}(?-i:({_whole}))(?:[^A-Za-z0-9]|$)"),
        ("jwt", rf"({_JWT})"),
    )
)
CARD = compile_pattern(
    rf"(?:^|[^-\w.])({_AMEX}|{_CARD}|{_DINERS})(?:[^-0-9a-z.]|\.[^0-9]|\.?$)", has_groups=True
)


def is_card(candidate: bytes) -> bool:
    """Tell whether digits, with spaces or dashes between them, pass the check of card numbers."""
    digits = [byte - 48 for byte in candidate if 48 <= byte <= 57]
    odd = digits[-1::-2]
    even = (2 * digit for digit in digits[-2::-2])
    return (sum(odd) + sum(value // 10 + value % 10 for value in even)) % 10 == 0
