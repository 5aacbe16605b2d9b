"""Run folders and sweep files -> parts, arms and their values."""
