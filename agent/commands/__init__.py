"""The desk: every command, whatever its source, is authenticated, authorised, recorded, executed once and answered."""
