"""Datadog's API on loopback: real HTTPS, the documented answers, and whatever can go wrong on the way."""
