"""One run: skip, lock, build, resume, record. Knows no method; the format of a run folder needs no torch."""
