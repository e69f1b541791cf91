"""Entries, runs, results and heads of feature steps: schema ``features``."""
