"""Interests of each user per topic: strength, trend, status."""
