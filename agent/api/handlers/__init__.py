"""Handlers of the routes: each takes an ApiRequest and returns a value for JSON or a response."""
