{{/* The pieces of the node agent's pod. */}}

{{- define "dd.agent-image" }}
image: {{ include "dd.image" (list . .Values.agents.image) }}
imagePullPolicy: {{ .Values.agents.image.pullPolicy }}
{{- end }}

{{/* Takes (list . containers-key): what users may set on each container. */}}
{{- define "dd.container-tail" }}
{{- $root := index . 0 }}
{{- $own := index $root.Values.agents.containers (index . 1) }}
securityContext:
{{- if $own.securityContext }}
{{- toYaml $own.securityContext | nindent 2 }}
{{- else }}
  readOnlyRootFilesystem: true
{{- end }}
resources:
{{- toYaml $own.resources | nindent 2 }}
{{- with $root.Values.datadog.envFrom }}
envFrom:
{{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Takes the part of the values that has healthPort and the three probes. */}}
{{- define "dd.probes" }}
{{- $own := . }}
{{- range $path, $key := dict "live" "livenessProbe" "ready" "readinessProbe" "startup" "startupProbe" }}
{{ $key }}:
{{- toYaml (get $own $key) | nindent 2 }}
  httpGet:
    path: /{{ $path }}
    port: {{ $own.healthPort }}
    scheme: HTTP
{{- end }}
{{- end }}

{{/* A hostPath that is mounted read-only. Takes (list name path). */}}
{{- define "dd.ro" }}
- name: {{ index . 0 }}
  mountPath: {{ index . 1 }}
  readOnly: true
{{- end }}

{{- define "dd.ro-private" }}
- name: {{ index . 0 }}
  mountPath: {{ index . 1 }}
  mountPropagation: None
  readOnly: true
{{- end }}

{{/* `readOnly: false` is the API's default, so it is in the manifest and not in the cluster. */}}
{{- define "dd.rw" }}
- name: {{ index . 0 }}
  mountPath: {{ index . 1 }}
  readOnly: false
{{- end }}

{{- define "dd.mount" }}
- name: {{ index . 0 }}
  mountPath: {{ index . 1 }}
{{- end }}

{{- define "dd.mount.runtime-socket" }}
{{- include "dd.ro-private" (list "runtimesocketdir" (printf "/host%s" (include "dd.runtime-dir" .))) }}
{{- end }}

{{- define "dd.runtime-dir" -}}
{{ .Values.datadog.criSocketPath | default "/var/run/docker.sock" | dir }}
{{- end -}}

{{- define "dd.mount.kubelet-ca" }}
{{- if .Values.datadog.kubelet.hostCAPath }}
{{- include "dd.ro" (list "kubelet-ca" (include "dd.kubelet-ca" .)) }}
{{- end }}
{{- end }}

{{- define "dd.mount.extra" }}
{{- if .Values.providers.eks.ec2.useHostnameFromFile }}
{{- include "dd.ro" (list "cloudinit-instance-id-file" "/var/lib/cloud/data/instance-id") }}
{{- end }}
{{- with .Values.agents.volumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "dd.mount.probe-config" }}
- name: sysprobe-config
  mountPath: /etc/datadog-agent/system-probe.yaml
  subPath: system-probe.yaml
  readOnly: true
{{- end }}

{{- define "dd.container.agent" }}
{{- $own := .Values.agents.containers.agent }}
- name: agent
{{- include "dd.agent-image" . | indent 2 }}
  command: ["agent", "run"]
{{- include "dd.container-tail" (list . "agent") | indent 2 }}
  ports:
    - containerPort: {{ .Values.datadog.dogstatsd.port }}
{{- if .Values.datadog.dogstatsd.useHostPort }}
      hostPort: {{ .Values.datadog.dogstatsd.port }}
{{- end }}
      name: dogstatsdport
      protocol: UDP
{{- with $own.ports }}
{{- toYaml . | nindent 4 }}
{{- end }}
  env:
{{- include "dd.env.node" . | indent 4 }}
{{- include "dd.env.leader" . | indent 4 }}
{{- include "dd.env.agent" . | indent 4 }}
  volumeMounts:
{{- include "dd.mounts.agent" . | indent 4 }}
{{- include "dd.probes" $own | indent 2 }}
{{- end }}

{{- define "dd.mounts.agent" }}
{{- include "dd.rw" (list "logdatadog" "/var/log/datadog") }}
- name: installinfo
  mountPath: /etc/datadog-agent/install_info
  subPath: install_info
  readOnly: true
{{- include "dd.rw" (list "tmpdir" "/tmp") }}
{{- include "dd.ro" (list "os-release-file" "/host/etc/os-release") }}
{{- include "dd.rw" (list "config" "/etc/datadog-agent") }}
{{- include "dd.rw" (list "auth-token" "/etc/datadog-agent/auth") }}
{{- include "dd.mount.runtime-socket" . }}
{{- include "dd.rw" (list "dsdsocket" (dir .Values.datadog.dogstatsd.socketPath)) }}
{{- if include "dd.probe" . }}
{{- include "dd.ro" (list "sysprobe-socket-dir" "/var/run/sysprobe") }}
{{- include "dd.mount.probe-config" . }}
{{- end }}
{{- include "dd.ro-private" (list "procdir" "/host/proc") }}
{{- include "dd.ro-private" (list "cgroups" "/host/sys/fs/cgroup") }}
{{- if not .Values.providers.talos.enabled }}
{{- include "dd.ro" (list "passwd" "/etc/passwd") }}
{{- end }}
{{- if include "dd.logs" . }}
- name: pointerdir
  mountPath: /opt/datadog-agent/run
  mountPropagation: None
  readOnly: false
{{- include "dd.ro-private" (list "logpodpath" "/var/log/pods") }}
{{- include "dd.ro-private" (list "logscontainerspath" "/var/log/containers") }}
{{- if not .Values.datadog.criSocketPath }}
{{- include "dd.ro-private" (list "logdockercontainerpath" "/var/lib/docker/containers") }}
{{- end }}
{{- else }}
{{- include "dd.mount" (list "datadogrun" "/opt/datadog-agent/run") }}
{{- end }}
{{- if .Values.providers.openshift.controlPlaneMonitoring }}
{{- include "dd.ro" (list "etcd-certs" "/etc/etcd-certs") }}
{{- include "dd.mount" (list "disable-etcd-autoconf" "/etc/datadog-agent/conf.d/etcd.d") }}
{{- end }}
{{- include "dd.mount.kubelet-ca" . }}
{{- include "dd.mount.extra" . }}
{{- end }}

{{- define "dd.container.trace" }}
- name: trace-agent
{{- include "dd.agent-image" . | indent 2 }}
  command: {{ semverCompare "<7.75.0" (include "dd.agent-version" .) | ternary "" "[trace-loader, /etc/datadog-agent/datadog.yaml, " | default "[" }}trace-agent, -config=/etc/datadog-agent/datadog.yaml]
{{- include "dd.container-tail" (list . "traceAgent") | indent 2 }}
  ports:
    - containerPort: {{ .Values.datadog.apm.port }}
{{- if .Values.datadog.apm.portEnabled }}
      hostPort: {{ .Values.datadog.apm.port }}
{{- end }}
      name: traceport
      protocol: TCP
  env:
{{- include "dd.env.node" . | indent 4 }}
{{- include "dd.env.dca" . | indent 4 }}
{{- if not (include "dd.any-dca" .) }}
    - name: DD_CLUSTER_AGENT_ENABLED
      value: "false"
{{- end }}
    - name: DD_LOG_LEVEL
      value: {{ .Values.agents.containers.traceAgent.logLevel | default .Values.datadog.logLevel | quote }}
    - name: DD_APM_ENABLED
      value: "true"
    - name: DD_LOGS_ENABLED
      value: {{ include "dd.logs" . | not | not | quote }}
    - name: DD_DOGSTATSD_SOCKET
      value: {{ .Values.datadog.dogstatsd.socketPath | quote }}
{{- include "dd.env.apm" . | indent 4 }}
{{- include "dd.free-env" .Values.agents.containers.traceAgent.env | indent 4 }}
{{- include "dd.free-env-dict" .Values.agents.containers.traceAgent.envDict | indent 4 }}
  volumeMounts:
{{- include "dd.ro" (list "config" "/etc/datadog-agent") | indent 4 }}
{{- include "dd.rw" (list "logdatadog" "/var/log/datadog") | indent 4 }}
{{- include "dd.ro" (list "auth-token" "/etc/datadog-agent/auth") | indent 4 }}
{{- include "dd.ro-private" (list "procdir" "/host/proc") | indent 4 }}
{{- include "dd.ro-private" (list "cgroups" "/host/sys/fs/cgroup") | indent 4 }}
{{- include "dd.rw" (list "tmpdir" "/tmp") | indent 4 }}
{{- include "dd.rw" (list "dsdsocket" (dir .Values.datadog.dogstatsd.socketPath)) | indent 4 }}
{{- include "dd.mount.runtime-socket" . | indent 4 }}
{{- include "dd.mount.kubelet-ca" . | indent 4 }}
{{- include "dd.mount.extra" . | indent 4 }}
  livenessProbe:
{{- toYaml .Values.agents.containers.traceAgent.livenessProbe | nindent 4 }}
    tcpSocket:
      port: {{ .Values.datadog.apm.port }}
{{- end }}

{{- define "dd.container.system-probe" }}
{{- $own := .Values.agents.containers.systemProbe }}
- name: system-probe
{{- include "dd.agent-image" . | indent 2 }}
  command: ["system-probe", "--config=/etc/datadog-agent/system-probe.yaml"]
  securityContext:
    privileged: false
    readOnlyRootFilesystem: true
    appArmorProfile:
      type: Unconfined
    capabilities:
      add: [SYS_ADMIN, SYS_RESOURCE, SYS_PTRACE, NET_ADMIN, NET_BROADCAST, NET_RAW, IPC_LOCK, CHOWN, DAC_READ_SEARCH]
    seccompProfile:
      type: Localhost
      localhostProfile: system-probe
  resources:
{{- toYaml $own.resources | nindent 4 }}
{{- with .Values.datadog.envFrom }}
  envFrom:
{{- toYaml . | nindent 4 }}
{{- end }}
  env:
{{- include "dd.env.node" . | indent 4 }}
    - name: DD_LOG_LEVEL
      value: {{ $own.logLevel | default .Values.datadog.logLevel | quote }}
    - name: DD_DOGSTATSD_PORT
      value: {{ .Values.datadog.dogstatsd.port | quote }}
{{- include "dd.free-env" $own.env | indent 4 }}
{{- include "dd.free-env-dict" $own.envDict | indent 4 }}
  volumeMounts:
{{- include "dd.ro" (list "auth-token" "/etc/datadog-agent/auth") | indent 4 }}
{{- include "dd.rw" (list "logdatadog" "/var/log/datadog") | indent 4 }}
{{- include "dd.rw" (list "tmpdir" "/tmp") | indent 4 }}
    - name: debugfs
      mountPath: /sys/kernel/debug
      mountPropagation: None
      readOnly: false
{{- include "dd.ro" (list "config" "/etc/datadog-agent") | indent 4 }}
{{- include "dd.mount.probe-config" . | indent 4 }}
{{- include "dd.rw" (list "sysprobe-socket-dir" "/var/run/sysprobe") | indent 4 }}
{{- include "dd.ro-private" (list "procdir" "/host/proc") | indent 4 }}
{{- include "dd.ro-private" (list "cgroups" "/host/sys/fs/cgroup") | indent 4 }}
{{- include "dd.ro" (list "os-release-file" "/host/etc/os-release") | indent 4 }}
{{- if include "dd.probe-host-files" . }}
{{- range $name, $path := include "dd.host-files" . | fromYaml }}
{{- if not (hasSuffix "system-release" $path) }}
{{- include "dd.ro" (list $name (printf "/host%s" $path)) | indent 4 }}
{{- end }}
{{- end }}
{{- include "dd.ro-private" (list "modules" "/lib/modules") | indent 4 }}
{{- if include "dd.usr-src" . }}
{{- include "dd.ro-private" (list "src" "/usr/src") | indent 4 }}
{{- end }}
    - name: runtime-compiler-output-dir
      mountPath: /var/tmp/datadog-agent/system-probe/build
      mountPropagation: None
      readOnly: false
{{- include "dd.rw" (list "kernel-headers-download-dir" "/var/tmp/datadog-agent/system-probe/kernel-headers") | indent 4 }}
{{- end }}
{{- include "dd.mount.extra" . | indent 4 }}
{{- end }}

{{/* Files of the host that the system probe reads, by volume name. A host that lacks one gets a directory made there. */}}
{{- define "dd.host-files" -}}
etc-redhat-release: /etc/redhat-release
etc-fedora-release: /etc/fedora-release
etc-lsb-release: /etc/lsb-release
etc-system-release: /etc/system-release
apt-config-dir: /etc/apt
yum-repos-dir: /etc/yum.repos.d
opensuse-repos-dir: /etc/zypp
public-key-dir: /etc/pki
yum-vars-dir: /etc/yum/vars
dnf-vars-dir: /etc/dnf/vars
rhel-subscription-dir: /etc/rhsm
{{- end -}}

{{- define "dd.init-containers" }}
- name: init-volume
{{- include "dd.agent-image" . | indent 2 }}
  command: ["bash", "-c"]
  args:
    - cp -r /etc/datadog-agent /opt
  volumeMounts:
{{- include "dd.rw" (list "config" "/opt/datadog-agent") | indent 4 }}
  resources:
{{- toYaml .Values.agents.containers.initContainers.resources | nindent 4 }}
- name: init-config
{{- include "dd.agent-image" . | indent 2 }}
  command: ["bash", "-c"]
  args:
    - for script in $(find /etc/cont-init.d/ -type f -name '*.sh' | sort) ; do bash $script ; done
  volumeMounts:
{{- include "dd.rw" (list "config" "/etc/datadog-agent") | indent 4 }}
{{- if include "dd.agent-confd" . }}
{{- include "dd.ro" (list "confd" "/conf.d") | indent 4 }}
{{- end }}
{{- if .Values.datadog.checksd }}
{{- include "dd.ro" (list "checksd" "/checks.d") | indent 4 }}
{{- end }}
{{- include "dd.rw" (list "logdatadog" "/var/log/datadog") | indent 4 }}
{{- include "dd.ro-private" (list "procdir" "/host/proc") | indent 4 }}
{{- include "dd.mount.runtime-socket" . | indent 4 }}
{{- if include "dd.probe" . }}
{{- include "dd.mount.probe-config" . | indent 4 }}
{{- end }}
  env:
{{- include "dd.env.node" . | indent 4 }}
{{- include "dd.env.leader" . | indent 4 }}
  resources:
{{- toYaml .Values.agents.containers.initContainers.resources | nindent 4 }}
{{- if include "dd.probe" . }}
- name: seccomp-setup
{{- include "dd.agent-image" . | indent 2 }}
  command: ["cp", "/etc/config/system-probe-seccomp.json", "/host/var/lib/kubelet/seccomp/system-probe"]
  volumeMounts:
{{- include "dd.ro" (list "datadog-agent-security" "/etc/config") | indent 4 }}
    - name: seccomp-root
      mountPath: /host/var/lib/kubelet/seccomp
      mountPropagation: None
      readOnly: false
  resources:
{{- toYaml .Values.agents.containers.initContainers.resources | nindent 4 }}
{{- end }}
{{- end }}

{{- define "dd.agent-confd" -}}
{{- if or .Values.datadog.confd .Values.datadog.autoconf }}yes{{ end -}}
{{- end -}}
