"""MQTT client: all that knows gmqtt, and nothing that knows the store."""
