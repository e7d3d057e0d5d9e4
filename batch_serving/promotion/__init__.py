"""Challenger against champion: the pair on the same rows, the paired tests, the gate."""
