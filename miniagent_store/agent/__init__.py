"""An agent that remembers: the seed's classes on any session store."""
