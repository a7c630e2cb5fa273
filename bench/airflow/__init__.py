"""Airflow's API server on FAB's auth manager and on ours, side by side: `python -m bench.airflow`."""
