"""One cell of an audit: the victim, what an adversary is granted, the targets, the record."""
