"""Decoders of vectors that no driver uses."""
