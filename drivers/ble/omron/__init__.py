"""Omron cuffs and body scales whose memory is read: frames, records, layouts as data (data/layouts.json), driver."""
