"""The agent that plays in the sandbox's pods: `kubectl exec POD -c agent -- agent status --json` really collects.

The containers of simulated pods run nothing, so a program of ours stands in for the agent: it reads the check files
that its pod mounts, runs them once with Datadog's own base check against the real components, and prints what an agent
would say of that, in the shape of the agent's `status --json`. What an agent observes of its own node (CPU, disks,
the container runtime) is not there to be observed: those checks are said to run.
"""
