"""The loop of ``msgd train``: data sets, small networks, and a trainer that resumes."""
