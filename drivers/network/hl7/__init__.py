"""Patient monitors and gateways that send HL7 v2 results over MLLP."""
