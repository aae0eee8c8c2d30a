"""Values of miniagent-store as CBOR."""
