"""Clock, errors, events, backoff, token bucket, topic filters: what every room may use."""
