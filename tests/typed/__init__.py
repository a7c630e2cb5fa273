"""The types that users get: read by mypy (`make types`), never run."""
