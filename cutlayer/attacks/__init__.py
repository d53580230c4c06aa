"""What an adversary at one seat can work out."""
