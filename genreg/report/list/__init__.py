"""`genreg ls`: a line for each arm, filtered and sorted."""
