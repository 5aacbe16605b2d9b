"""What genreg recorded, in Python: tables of runs and rows, and trained models."""
