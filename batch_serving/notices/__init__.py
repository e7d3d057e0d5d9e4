"""Exactly one message per failure: claims of who sends it, and a watcher for those that were not sent."""
