"""The server's seat: its party, and the adversary beside it, in this process or in another one."""
