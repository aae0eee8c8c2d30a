"""Which server a command goes to: one, the master behind Sentinel, or the node of a slot."""
