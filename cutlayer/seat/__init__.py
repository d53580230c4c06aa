"""Parties at their seats, and the adversary beside one of them, in this process or in another one."""
