"""What the command line does beyond its verbs: the parties' commands, keys, models, metrics, scoring, the demo."""
