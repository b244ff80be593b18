"""What stands around the pictures for people: batches of files, the page, contact sheets and drawings."""
