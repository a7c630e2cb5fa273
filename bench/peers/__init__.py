"""What others take for the same questions, on the same tables."""
