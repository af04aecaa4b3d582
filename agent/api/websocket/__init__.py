"""Live events over WebSocket: who listens, to what, and what becomes of those who are too slow."""
