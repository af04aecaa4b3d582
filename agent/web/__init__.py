"""The gateway's web page, as files that a browser loads: no build step, no address but the gateway's own."""
