"""Split learning between organizations, and a measurement of what it gives away."""

__version__ = "0.1.0"
