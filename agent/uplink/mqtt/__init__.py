"""One MQTT connection: everything that knows gmqtt, and nothing that knows the store."""
