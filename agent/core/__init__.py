"""Clock, errors, events, backoff, token bucket: what every room may use."""
