"""One broker is one uplink: the connection, its lanes, its window, its routes; the only room that speaks MQTT."""
