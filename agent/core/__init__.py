"""Clock, errors, events, backoff, token bucket, topic filters: for every room."""
