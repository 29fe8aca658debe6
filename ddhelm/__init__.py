"""Put a Kubernetes cluster under Datadog with Helm, the control plane included."""

__version__ = "0.1.0"
