"""How the mesh is run elsewhere: image, compose, kustomize, dashboard, and what the catalogue generates of them."""
