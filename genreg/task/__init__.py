"""How one update is made."""
