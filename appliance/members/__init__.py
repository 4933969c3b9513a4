"""Members: who belongs to an organization, with which roles; kept by the identity provider."""
