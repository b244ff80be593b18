"""What each party keeps, allows and checks."""
