"""Generated worlds with known truth."""
