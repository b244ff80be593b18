"""What the verbs of the command line do; one module a group of verbs."""
