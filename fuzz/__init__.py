"""Fuzzing with atheris, which is guided by what code an input reaches: `make fuzz`."""
