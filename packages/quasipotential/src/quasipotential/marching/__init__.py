"""What the plane and space share: the mesh, the front of a march, and how its solution is read."""
