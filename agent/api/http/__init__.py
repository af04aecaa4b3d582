"""HTTP for the API: listeners, parsing, routing, responses. Nothing is imported here."""
