"""Stick: readings carried from a gateway without a network to one that has one, and receipts carried back."""
