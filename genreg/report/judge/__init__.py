"""Values -> comparisons: which test decides, and what it says."""
