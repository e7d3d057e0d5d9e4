"""Datasets, estimators, metrics, search and drift."""
