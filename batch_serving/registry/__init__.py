"""The model registry: versions, history, and the champion pointer."""
