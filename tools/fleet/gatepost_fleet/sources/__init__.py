"""Sources of messages: broker clusters, each by its own client; chosen by the scheme of an address."""
