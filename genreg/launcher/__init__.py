"""Many runs: what a sweep file asks for, and the processes that make it."""
