"""Rules that settings must keep beyond their types."""
