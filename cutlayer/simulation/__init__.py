"""A deployment in one process: its parties, its session, what taking part costs."""
