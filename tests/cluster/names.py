"""What the releases are called."""

CONTROL_PLANE, WORKER = "control-plane-ddagent", "worker-node-ddagent"
