"""The feature party B: its columns, what it agrees to, a run after its greeting, its budgets."""
