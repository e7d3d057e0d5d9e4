"""Rows in, predictions out: sources, watermarks, one file per run, compacted days, daily drift."""
