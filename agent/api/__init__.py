"""The local HTTP API: thin, asks the rooms below. Nothing is imported here, so a client pays for no server."""
