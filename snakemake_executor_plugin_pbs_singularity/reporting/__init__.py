"""What a person reads when something has happened."""
