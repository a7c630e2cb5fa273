"""`make dist`: build what is released, and check it as a stranger finds it. `make lowest`: the oldest dependencies."""
