"""Jobs of the API that take a while: scans and tests, one of a kind at a time."""
