"""Local HTTP API of the agent. Nothing is imported here, so a client pays for no server."""
