"""Parts that `tools/torture` and `tools/bench` share: feeders, brokers, taps, collectors and readers of /proc."""
