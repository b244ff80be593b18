"""The label party A: its run and session, sums and decisions of both parties, checks, sampling and prediction."""
