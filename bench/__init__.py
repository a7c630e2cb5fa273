"""What asyncauth costs, beside what the same work costs without it: `python -m bench warm cold stampede`."""
