"""Fine-tuning with and without the guard, as the commands and the claims run it."""
