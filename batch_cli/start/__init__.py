"""The task functions of one pipeline."""
