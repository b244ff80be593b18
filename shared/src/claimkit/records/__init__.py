"""A record, believed: beside what a command wrote, beside the history, beside a fresh run, and judged again."""
