"""Keycloak's realm, written from one declaration; a second run changes nothing."""
