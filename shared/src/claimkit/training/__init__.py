"""What training shares: several processes, one model; for pictures (extra ``style``) crops, loop, closed-form start."""
