"""The name of the account by which provisioning writes to Keycloak."""

PROVISIONER = "trunkline-provisioning"
"""A service account of the master realm, made at Keycloak's first start."""
