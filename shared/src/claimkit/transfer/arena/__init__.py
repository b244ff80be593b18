"""A fair arena for methods of fine-tuning: tasks with controls that must pass, the baselines a user would try, one judge."""
