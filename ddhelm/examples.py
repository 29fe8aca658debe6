"""What people type most, per command: shown by its help. A test parses every line."""

from collections.abc import Mapping

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "": (
        "ddhelm detect                              # which distribution is this?",
        "ddhelm onboard --site datadoghq.eu         # shows the plan and asks",
        "ddhelm status",
    ),
    "onboard": (
        "# The key from the environment, a file, a Secret, or asked for",
        "DD_API_KEY=… ddhelm onboard --site datadoghq.eu --cluster-name prod-1",
        "ddhelm onboard --api-key-file key.txt -f values.yaml",
        "",
        "# Again, without flags: same settings; finishes and repairs",
        "ddhelm onboard --dry-run",
        "ddhelm onboard --yes",
    ),
    "plan": (
        "ddhelm plan --detailed-exitcode            # 2 if anything would change",
        "ddhelm plan --out plan.json -f values.yaml # for `ddhelm apply plan.json`",
        "ddhelm plan -o markdown                    # for a pull request",
    ),
    "plan show": ("ddhelm plan show plan.json",),
    "diff": ("ddhelm diff --set datadog.logLevel=debug", "ddhelm diff -o unified -C 1 --version 3.240.0"),
    "diff revision": ("ddhelm diff revision 3 4",),
    "diff versions": ("ddhelm diff versions 3.157.2 3.240.0",),
    "diff values": ("ddhelm diff values -f values.yaml",),
    "apply": (
        "ddhelm plan --out plan.json && ddhelm apply plan.json",
        "ddhelm apply plan.json --digest SHA256     # only the file that was reviewed",
    ),
    "upgrade": ("ddhelm upgrade --latest --dry-run", "ddhelm upgrade --version 3.240.0"),
    "rollback": (
        "ddhelm rollback --dry-run                  # to before the last change",
        "ddhelm rollback 3 --only worker",
    ),
    "rotate": (
        "ddhelm rotate api-key --api-key-file new-key.txt",
        "ddhelm rotate token --dry-run              # what pauses, how long?",
        "ddhelm rotate api-key --restart-only       # it was changed elsewhere",
    ),
    "history": ("ddhelm history", "ddhelm history -o json"),
    "drift": (
        "ddhelm drift                               # exit 2 if anything drifted",
        "ddhelm drift --revert",
    ),
    "unlock": ("ddhelm unlock",),
    "certs": ("ddhelm certs plan", "ddhelm certs issue --csr-only --out etcd-certs"),
    "certs issue": (
        "ddhelm certs issue --csr-only --out etcd-certs   # the CA signs it elsewhere",
        "ddhelm certs issue --ca-cert ca.crt --ca-key ca.key --out etcd-certs",
    ),
    "certs import": ("ddhelm certs import --dir etcd-certs --ca ca.crt --secret ddhelm-etcd-client",),
    "certs plan": ("ddhelm certs plan",),
    "certs rotate": (
        "ddhelm certs rotate --ca-cert ca.crt --ca-key ca.key --dry-run",
        "ddhelm certs rotate --dir etcd-certs      # with what the CA signed",
    ),
    "certs verify": (
        "ddhelm certs verify --endpoint https://127.0.0.1:2379 --dir etcd-certs",
        "ddhelm certs verify --endpoint https://127.0.0.1:2379 --secret NAME",
    ),
    "check": ("ddhelm check", "ddhelm check --list"),
    "status": ("ddhelm status", "ddhelm status --context prod -n datadog -o json"),
    "values": ("ddhelm values worker --explain", "ddhelm values control-plane -f values.yaml"),
    "detect": ("ddhelm detect", "ddhelm detect -o json > facts.json         # for `ddhelm plan --offline`"),
    "uninstall": (
        "ddhelm uninstall --dry-run",
        "ddhelm uninstall --delete-secrets --delete-namespace",
    ),
    "verify": ("ddhelm verify",),
    "completion": (
        "source <(ddhelm completion bash)           # in ~/.bashrc",
        "ddhelm completion fish > ~/.config/fish/completions/ddhelm.fish",
    ),
    "explain": ("ddhelm explain no-kubeconfig", "ddhelm explain | grep timeout"),
    "support-dump": ("ddhelm support-dump", "ddhelm support-dump --out prod.tar.gz --context prod"),
}
