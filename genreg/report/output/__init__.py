"""Results -> words: tables, notes, claims, text formats."""
