"""What a party keeps on disk: files that are never half-written, trees as they are committed, the runs it knows."""
