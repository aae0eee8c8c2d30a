"""What the page of performance shows: looks at a store while somebody watches, a count of its sessions."""
