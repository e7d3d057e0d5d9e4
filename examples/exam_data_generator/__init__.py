"""Exam results for a range of dates that the trigger form asks for, safe to repeat."""
