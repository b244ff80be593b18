"""Claims on the solver in the plane: its errors, its error bars, its seconds."""
