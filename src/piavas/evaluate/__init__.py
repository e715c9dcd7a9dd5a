"""Predictions against recordings: metrics by family and name, tables, reports."""
