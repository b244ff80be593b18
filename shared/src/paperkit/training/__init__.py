"""What training image networks shares (extra ``style``): crops, the loop with checkpoints, a closed-form start."""
