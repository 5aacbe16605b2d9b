"""Tasks: the update of each, and what is evaluated after it."""
