"""Pictures as SVG. Knows numbers and names, nothing of runs."""
