"""What a store costs, measured: the work behind ``miniagent-store bench``."""
