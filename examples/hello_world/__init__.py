"""A bash task and a Python task, every morning."""
