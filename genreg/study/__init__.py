"""Many runs: the sweep file, its arms, tuning and looks; jobs, and what launches them."""
