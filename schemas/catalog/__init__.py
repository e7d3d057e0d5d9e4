"""What can be named and which arguments it takes: read from what is installed."""
