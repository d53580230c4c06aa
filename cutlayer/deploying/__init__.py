"""Training between organizations: each party a process of its own, with its plan, certificates, data and folder."""
