"""Other engines behind the same call."""
