"""`make dist`: build what is released, and check it as a stranger would find it. `make lowest`: the oldest dependencies."""
