"""Who asks, and what they may: tokens, sessions of the page, JWTs. Nothing is imported here."""
