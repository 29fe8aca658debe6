"""A real Kubernetes control plane on loopback, without containers. See README.md beside this file."""
