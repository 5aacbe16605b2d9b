"""The command line: its verbs, and how `genreg train` composes runs. The only place that imports Hydra."""
