"""Fleet side of Gatepost: what many gateways publish, stored once, and what is missing of it."""
