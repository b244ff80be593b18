"""What training shares: several processes, one model; for pictures (extra ``style``) crops, the loop, a closed-form start."""
