"""1-Wire sensors through the kernel."""
