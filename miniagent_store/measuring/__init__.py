"""What commands and the viewer tell of a store in numbers: looks at it, and counts of its sessions."""
