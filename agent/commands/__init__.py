"""Commands: each, whatever its source, is authenticated, authorised, recorded, executed once and answered."""
