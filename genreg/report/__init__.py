"""From run folders to tables with a verdict. Reads files only: imports neither torch nor Hydra."""
