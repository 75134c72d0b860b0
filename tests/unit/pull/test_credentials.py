"""A token that Azure does not give names what to set or grant."""

import pytest

from collector.pull.credentials import credential_hint

FEDERATED = {"AZURE_FEDERATED_TOKEN_FILE": "/var/run/token", "AZURE_CLIENT_ID": "c"}


@pytest.mark.parametrize(
    ("text", "environment", "named"),
    [
        ("AADSTS700213: No matching federated identity record found", FEDERATED, "subject"),
        ("AADSTS70021: no match", {}, "OIDC issuer"),
        ("AADSTS7000215: Invalid client secret provided", {}, "not its id"),
        ("AADSTS7000222: The provided client secret keys are expired", {}, "expired"),
        ("AADSTS700016: Application not found in the directory", {}, "AZURE_TENANT_ID"),
        ("AADSTS500011: The resource principal was not found", {}, "HOPLINE_AZURE_CLOUD"),
        ("WorkloadIdentityCredential: timed out", FEDERATED, "system:serviceaccount"),
        ("no secret", {"AZURE_CLIENT_SECRET": "s"}, "AZURE_TENANT_ID and AZURE_CLIENT_ID"),
        ("no identity", {"AZURE_CLIENT_ID": "c"}, "azure.workload.identity/client-id"),
        ("nothing is set", {}, "Log Analytics Reader"),
    ],
)
def test_hint_follows_the_failure(text: str, environment: dict[str, str], named: str) -> None:
    """Entra ID's own code decides, then what the environment shows of the kind of identity."""
    assert named in credential_hint(text, environment)
