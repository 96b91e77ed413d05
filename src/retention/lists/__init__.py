"""Lists of clients to act on, all of one shape."""
