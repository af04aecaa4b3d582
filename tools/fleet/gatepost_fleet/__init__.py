"""Fleet side of Gatepost: what many gateways publish, stored once."""
