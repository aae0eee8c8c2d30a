"""What the page of performance shows: looks at a store while somebody watches, and a count of its sessions."""
