"""
What to do when Azure gives no token: by Entra ID's own error code, else by what is configured.

Source: learn.microsoft.com/entra/identity-platform/reference-error-codes;
azure.github.io/azure-workload-identity (troubleshooting); azure-identity DefaultAzureCredential.
"""

import re
from collections.abc import Mapping

_CODE = re.compile(r"AADSTS(\d+)")
_FEDERATED = (
    "the federated credential of the identity does not fit this pod: its issuer must be the "
    "cluster's OIDC issuer (`az aks show --query oidcIssuerProfile.issuerUrl`), its subject "
    "system:serviceaccount:NAMESPACE:SERVICEACCOUNT, its audience api://AzureADTokenExchange"
)
_OTHER_TENANT = (
    "the identity is not in this tenant: check AZURE_TENANT_ID and AZURE_CLIENT_ID, and "
    "HOPLINE_AZURE_CLOUD"
)
_BY_CODE = {
    "70021": _FEDERATED,
    "700211": _FEDERATED,
    "700212": _FEDERATED,
    "700213": _FEDERATED,
    "700016": _OTHER_TENANT,
    "90002": _OTHER_TENANT,
    "500011": "this tenant's cloud does not know the endpoint: set HOPLINE_AZURE_CLOUD, or "
    "HOPLINE_AZURE_ENDPOINT, to the identity's own cloud",
    "7000215": "AZURE_CLIENT_SECRET is wrong: it takes the secret's value, not its id",
    "7000222": "AZURE_CLIENT_SECRET has expired: make a new one for the app registration",
    "700027": "the certificate is not one of the app registration's",
    "700024": "the machine's clock, or the pod's token, is out of date",
}
_NOTHING = (
    "give Hopline an identity: on AKS a workload identity, on a virtual machine its managed "
    "identity, elsewhere AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET; then give that "
    "identity the role 'Log Analytics Reader' on the workspace"
)
_USER_ASSIGNED = (
    "AZURE_CLIENT_ID names a user-assigned managed identity: assign it to this machine, or, on "
    "AKS, label the pod azure.workload.identity/use=true and annotate its service account with "
    "azure.workload.identity/client-id"
)


def credential_hint(text: str, environment: Mapping[str, str]) -> str:
    """Say what to set or grant after a failure that reads *text*."""
    for code in _CODE.findall(text):
        if code in _BY_CODE:
            return _BY_CODE[code]
    if environment.get("AZURE_FEDERATED_TOKEN_FILE"):
        return _FEDERATED
    names = ("AZURE_TENANT_ID", "AZURE_CLIENT_ID")
    missing = [name for name in names if not environment.get(name)]
    if missing and environment.get("AZURE_CLIENT_SECRET"):
        return f"set {' and '.join(missing)} beside AZURE_CLIENT_SECRET"
    if environment.get("AZURE_CLIENT_ID") and not environment.get("AZURE_CLIENT_SECRET"):
        return _USER_ASSIGNED
    return _NOTHING
