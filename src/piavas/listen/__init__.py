"""Responses and audio in the forms that other tools read."""
