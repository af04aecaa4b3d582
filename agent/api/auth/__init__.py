"""Authentication and permissions: tokens, sessions of the page, JWTs. Nothing is imported here."""
