"""What the page of performance shows: looks at the store while somebody watches, and a count of its sessions."""
