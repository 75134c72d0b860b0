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
    r"gl(?:pat|dt|rt|ptt|ft|ffct|soat|agent|cbt|imt|oas)-[-\w.]{20,}",  # GitLab
    r"xox[abcdeoprs](?:\.xox[bp])?-[-\w.]{10,}",  # Slack
    r"xapp-\d-[-\w]{10,}",
    r"hooks\.slack\.com/(?:services|workflows|triggers)/[-\w/]{20,}",
    r"discord(?:app)?\.com/api/webhooks/\d{10,}/[-\w]{20,}",
    r"[srp]k_(?:live|test|org)_[A-Za-z0-9_]{10,}",  # Stripe
    r"whsec_[A-Za-z0-9+/=]{16,}",
    r"AIza[-\w]{35}",  # Google
    r"GOCSPX-[-\w]{20,}",
    # OpenAI, Anthropic, OpenRouter, Langfuse
    r"sk-(?:proj|svcacct|service|admin|ant|or|lf|None)-[-\w]{20,}",
    r"npm_[A-Za-z0-9]{30,}",
    r"pypi-[-\w]{16,}",
    r"rubygems_[0-9a-f]{32,}",
    r"dckr_(?:pat|oat)_[-\w]{20,}",  # Docker
    r"SG\.[-\w]{16,}\.[-\w]{32,}",  # SendGrid
    r"do[oprt]_v1_[0-9a-f]{32,}",  # DigitalOcean
    r"hv[sbr]\.[-\w]{20,}",  # HashiCorp Vault
    r"[A-Za-z0-9]{14}\.atlasv1\.[-\w=]{40,}",  # HCP Terraform
    r"d(?:api|ose|kea)[0-9a-f]{32}(?:-\d)?",  # Databricks
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
    r"AT(?:ATT3|CTT3|BB)[-\w=]{20,}",  # Atlassian
    r"AGE-SECRET-KEY-1[0-9A-Z]{58}",
    r"[\w~.-]{3}\dQ~[\w~.-]{31,}",  # Microsoft Entra client secrets
    r"HRKU-[-\w]{30,}",  # Heroku
    r"(?:FlyV1 |fo1_)[-\w=+/,]{30,}",
    r"gsk_[A-Za-z0-9]{40,}",  # Groq
    r"xai-[A-Za-z0-9]{40,}",
    r"r8_[A-Za-z0-9]{30,}",  # Replicate
    r"dp\.(?:pt|st|ct|sa|scim|audit)\.[-\w.]{30,}",  # Doppler
    r"ops_eyJ[-\w]{50,}",  # 1Password
    r"(?:1//0|ya29\.)[-\w.]{20,}",  # Google
    r"IQoJb3JpZ2luX2[A-Za-z0-9+/=%]{40,}",  # AWS session tokens, Bedrock keys
    r"F[Qw]oGZXIvYXdz[A-Za-z0-9+/=%]{40,}",
    r"ABSK[A-Za-z0-9+/]{60,}={0,2}",
    r"bedrock-api-key-[A-Za-z0-9+/]{20,}={0,2}",
    # Azure's keys with a signature: storage, service bus, event hubs, devices, databases, functions
    r"[A-Za-z0-9+/]{33,76}(?:\+(?:ASt|ASb|AEh|ABa|ARm|ACR)|AIoT|ACDb|AzFu|AzSe|AzCa|APIM)"
    r"[A-Za-z0-9+/]{5,10}={1,2}",
    r"[A-Za-z0-9]{76}AZDO[A-Za-z0-9]{4}",  # Azure DevOps
    r"IncomingWebhook/[0-9a-f]{32}/[-\w/]{8,}",  # Microsoft Teams
    r"bot\d{8,}:AA[-\w]{32,}",  # Telegram
    r"hooks\.zapier\.com/hooks/catch/\d+/\w{5,}",
    r"maker\.ifttt\.com/\w[-\w/]{0,80}/key/[-\w]{20,}",
    r"cf(?:ut|at|k)_[A-Za-z0-9]{30,}",  # Cloudflare
    r"v1\.0-[0-9a-f]{24}-[0-9a-f]{100,}",
    r"LTAI[A-Za-z0-9]{16,}",  # Alibaba Cloud
    r"AKCp[A-Za-z0-9]{60,}",  # JFrog
    r"bkua_[0-9a-f]{40}",  # Buildkite
    r"CCI(?:PAT|PRJ)_[-\w]{30,}",  # CircleCI
    r"CFPAT-[-\w]{40,}",  # Contentful
    r"dt0[a-z]\d\d\.[A-Z0-9]{24}\.[A-Z0-9]{64}",  # Dynatrace
    r"EZ[AT]K[A-Za-z0-9]{54}",  # EasyPost
    r"FLWSECK(?:_TEST)?-[A-Za-z0-9]{12,}",  # Flutterwave
    r"secret_[A-Za-z0-9]{43}",  # Notion, before 2024
    r"oy2[a-z0-9]{43}",  # NuGet
    r"sha256~[-\w]{43}",  # OpenShift
    r"pplx-[A-Za-z0-9]{40,}",  # Perplexity
    r"access-(?:sandbox|development|production)-[0-9a-f]{8}-[-0-9a-f]{27}",  # Plaid
    r"rdme_[a-z0-9]{60,}",  # ReadMe
    r"x(?:keysib|smtpsib)-[0-9a-f]{64}-\w{16}",  # Brevo
    r"shippo_(?:live|test)_[0-9a-f]{40}",
    r"sq[apu]_[0-9a-f]{40}",  # SonarQube
    r"sgp_[0-9a-f_]{40,}",  # Sourcegraph
    r"tskey-[a-z]+-[-\w]{20,}",  # Tailscale
    r"tfp_[-\w.]{40,}",  # Typeform
    r"vercel_blob_rw_\w{20,}",
    r"nfp_[A-Za-z0-9]{30,}",  # Netlify
    r"rnd_[A-Za-z0-9]{28,}",  # Render
    r"napi_[a-z0-9]{50,}",  # Neon
    r"rzp_(?:live|test)_[A-Za-z0-9]{14,}",  # Razorpay
    r"access_token\$production\$[a-z0-9]{16}\$[0-9a-f]{32}",  # PayPal
    r"pcsk_\w{40,}",  # Pinecone
    r"lsv2_(?:pt|sk)_[0-9a-f_]{32,}",  # LangSmith
    r"csk-[a-z0-9]{40,}",  # Cerebras
    r"tgp_v1_[-\w]{30,}",  # Together
    r"tvly-[-A-Za-z0-9]{24,}",  # Tavily
    r"nvapi-[-\w]{50,}",
    r"(?:pi|seti|cs)_[A-Za-z0-9_]{10,}_secret_[A-Za-z0-9]{16,}",  # Stripe, for one payment
    r"phx_[A-Za-z0-9]{40,}",  # PostHog
    r"nrjs?-[0-9a-f]{19}",  # New Relic
    r"perm[:-][A-Za-z0-9+/=]+\.[A-Za-z0-9+/=]+\.[-A-Za-z0-9+/=]{30,}",  # JetBrains
    r"pnu_[A-Za-z0-9]{36}",  # Prefect
    r"aio_[A-Za-z0-9]{28}",  # Adafruit
    r"[xyz]prv[1-9A-HJ-NP-Za-km-z]{100,}",  # BIP 32
    r"(?:\*|\w{1,32}):[\w*]{1,32}\.[0-9a-f]{56}",  # Unleash
    # hashes of passwords: bcrypt, Argon2, crypt(3), PBKDF2, LDAP, SCRAM of PostgreSQL
    r"\$2[abxy]\$\d\d\$[./A-Za-z0-9]{53}",
    r"\$argon2(?:id|i|d)\$v=\d+\$[\w=,]+\$[A-Za-z0-9+/]{8,}\$[A-Za-z0-9+/]{16,}",
    r"\$(?:1|5|6|apr1|y)\$(?:rounds=\d+\$)?[./A-Za-z0-9$]{1,40}\$[./A-Za-z0-9]{22,}",
    r"pbkdf2_sha\d+\$\d+\$[A-Za-z0-9]+\$[A-Za-z0-9+/=]{20,}",
    r"\{S?SHA\d*\}[A-Za-z0-9+/]{24,}={0,2}",
    r"SCRAM-SHA-256\$\d+:[A-Za-z0-9+/=]+\$[A-Za-z0-9+/=:]{40,}",
)
# Prefixes that words and ids end with as well: only where no letter or digit stands before them.
_WHOLE = (
    r"sk-[A-Za-z0-9]{32,}",  # OpenAI, DeepSeek
    r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}",  # AWS
    r"SK[0-9a-f]{32}",  # Twilio
    r"key-[0-9a-f]{32}",  # Mailgun
    r"\d{8,}:AA[-\w]{32,}",  # Telegram
    r"[0-9a-f]{32}-us\d{1,2}",  # Mailchimp
    r"pat[A-Za-z0-9]{14}\.[0-9a-f]{64}",  # Airtable
    r"re_[A-Za-z0-9]{8}_[A-Za-z0-9]{24}",  # Resend
    r"EAA[A-Za-z0-9]{40,}",  # Meta
    r"sk_[0-9a-f]{48}",  # ElevenLabs
    r"cio[A-Za-z0-9]{32}",  # crates.io
    r"eyJrIjoi[A-Za-z0-9]{50,}={0,2}",  # Grafana, before 2022
    r"(?:sdk|mob)-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}",  # LaunchDarkly
    r"A3-[A-Z0-9]{6}-[A-Z0-9]{6,11}(?:-[A-Z0-9]{5}){3,4}",  # 1Password
    r"pub[0-9a-f]{32}",  # Datadog
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
# encrypted, but whoever has the key reads it
_PGP = r"-----BEGIN PGP MESSAGE-----.*?(?:-----END PGP MESSAGE-----|\z)"
_SSH2 = r"---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----.*?(?:---- END[^-]*----|\z)"
_PUTTY = r"Private-Lines: .*?(?:Private-MAC: [0-9a-f]+|\z)"
# a PEM text in Base64 once more, as Kubernetes secrets hold it
_PEM_BASE64 = r"LS0tLS1CRUdJTi[A-Za-z0-9+/]{20,}={0,2}"

_vendors, _whole = "|".join(_VENDORS), "|".join(_WHOLE)
_LONG_STARTS = (
    r"(?:\*|\w{1,32}):[\w*]{1,32}",
    r"(?:pi|seti|cs)_[A-Za-z0-9_]{10,}",
    "[A-Za-z0-9]{14}",
    r"[\w~.-]{3}",
    "[A-Za-z0-9+/]{33,76}",
    "[A-Za-z0-9]{76}",
    "[0-9a-f]{32}",
)


def _shorten(pattern: str) -> str:
    """Keep what tells that there is a token; what stands before a mark is not looked for."""
    for start in _LONG_STARTS:
        pattern = re.sub(rf"(^|\|){re.escape(start)}", r"\1", pattern)
    return re.sub(r"\{(\d+),\d*\}(?=$|\|)", r"{\1}", pattern)


# in a serialized message a length byte stands before a text, and it can be a letter
_BEFORE = r"(?:^|[^A-Za-z0-9]|\\[nrt])"
SEARCH = (
    _shorten(rf"(?-i:{_vendors})"),
    _shorten(rf"(?-i:{_whole})"),
    r"eyJ[-\w]{10,}\.[-\w]{10,}",
    rf"(?:^|[^-\w.])(?:{_CARD}|{_AMEX}|{_DINERS})(?:[^-0-9a-f.]|$)",
    r"(?:PRIVATE KEY(?: BLOCK)?|PGP MESSAGE) ?----",
    r"Private-Lines: ",
    r"(?-i:LS0tLS1CRUdJTi)",
)
# (kind, pattern); group 1 is the secret
RULES = tuple(
    (kind, compile_pattern(rule, has_groups=True))
    for kind, rule in (
        ("private_key", rf"({_PEM}|{_PGP}|{_SSH2}|{_PUTTY})"),
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
