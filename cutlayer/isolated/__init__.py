"""The attacked party in a process of its own, so that an attack cannot reach the truth."""
