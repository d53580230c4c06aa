"""What a party saw, kept in files: recorded, attacked later, with the truth at the judge's or without it."""
