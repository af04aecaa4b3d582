"""Any device that prints lines."""
