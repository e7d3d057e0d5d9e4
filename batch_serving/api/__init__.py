"""The HTTP API: it serves each champion, and swaps it for the next one while requests run."""
