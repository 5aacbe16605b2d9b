"""Results in words: the columns of a table, the notes below it, claims, and each format of text."""
