{{- define "dd.empty" }}
- name: {{ . }}
  emptyDir: {}
{{- end }}

{{/* Takes (list name path), or (list name path type). */}}
{{- define "dd.host" }}
- name: {{ index . 0 }}
  hostPath:
    path: {{ index . 1 }}
{{- if gt (len .) 2 }}
    type: {{ index . 2 }}
{{- end }}
{{- end }}

{{- define "dd.config" }}
- name: {{ index . 0 }}
  configMap:
    name: {{ index . 1 }}
{{- end }}

{{- define "dd.volumes" }}
{{- $full := include "dd.fullname" . }}
{{- $sockets := dir .Values.datadog.dogstatsd.socketPath }}
{{- range list "auth-token" "config" "logdatadog" "tmpdir" "s6-run" }}
{{- include "dd.empty" . }}
{{- end }}
{{- include "dd.config" (list "installinfo" (printf "%s-installinfo" $full)) }}
{{- if include "dd.agent-confd" . }}
{{- include "dd.config" (list "confd" (printf "%s-confd" $full)) }}
{{- end }}
{{- if .Values.datadog.checksd }}
{{- include "dd.config" (list "checksd" (printf "%s-checksd" $full)) }}
{{- end }}
{{- include "dd.host" (list "procdir" "/proc") }}
{{- include "dd.host" (list "cgroups" "/sys/fs/cgroup") }}
{{- include "dd.host" (list "os-release-file" "/etc/os-release") }}
{{- if .Values.datadog.dogstatsd.useSocketVolume }}
{{- include "dd.host" (list "dsdsocket" $sockets "DirectoryOrCreate") }}
{{- else }}
{{- include "dd.empty" "dsdsocket" }}
{{- end }}
{{- if .Values.datadog.apm.socketEnabled }}
{{- include "dd.host" (list "apmsocket" (dir .Values.datadog.apm.socketPath) "DirectoryOrCreate") }}
{{- end }}
{{- if not .Values.providers.talos.enabled }}
{{- include "dd.host" (list "passwd" "/etc/passwd") }}
{{- end }}
{{- include "dd.host" (list "runtimesocketdir" (include "dd.runtime-dir" .)) }}
{{- if include "dd.logs" . }}
{{- include "dd.host" (list "logpodpath" "/var/log/pods") }}
{{- include "dd.host" (list "logscontainerspath" "/var/log/containers") }}
{{- if not .Values.datadog.criSocketPath }}
{{- include "dd.host" (list "logdockercontainerpath" "/var/lib/docker/containers") }}
{{- end }}
{{- include "dd.host" (list "pointerdir" "/var/lib/datadog-agent/logs") }}
{{- else }}
{{- include "dd.empty" "datadogrun" }}
{{- end }}
{{- if include "dd.probe" . }}
{{- include "dd.volumes.probe" . }}
{{- end }}
{{- with .Values.datadog.kubelet.hostCAPath }}
{{- include "dd.host" (list "kubelet-ca" . "File") }}
{{- end }}
{{- if .Values.providers.eks.ec2.useHostnameFromFile }}
{{- include "dd.host" (list "cloudinit-instance-id-file" "/var/lib/cloud/data/instance-id" "File") }}
{{- end }}
{{- if .Values.providers.openshift.controlPlaneMonitoring }}
- name: etcd-certs
  secret:
    secretName: etcd-metric-client
{{- include "dd.empty" "disable-etcd-autoconf" }}
{{- end }}
{{- with .Values.agents.volumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "dd.volumes.probe" }}
{{- $full := include "dd.fullname" . }}
{{- include "dd.config" (list "sysprobe-config" (printf "%s-system-probe-config" $full)) }}
{{- include "dd.config" (list "datadog-agent-security" (printf "%s-security" $full)) }}
{{- include "dd.host" (list "seccomp-root" .Values.datadog.systemProbe.seccompRoot) }}
{{- include "dd.host" (list "debugfs" "/sys/kernel/debug") }}
{{- include "dd.empty" "sysprobe-socket-dir" }}
{{- if include "dd.probe-host-files" . }}
{{- range $name, $path := include "dd.host-files" . | fromYaml }}
{{- include "dd.host" (list $name $path) }}
{{- end }}
{{- include "dd.host" (list "modules" "/lib/modules") }}
{{- if include "dd.usr-src" . }}
{{- include "dd.host" (list "src" "/usr/src") }}
{{- end }}
{{- include "dd.host" (list "runtime-compiler-output-dir" "/var/tmp/datadog-agent/system-probe/build" "DirectoryOrCreate") }}
{{- include "dd.host" (list "kernel-headers-download-dir" "/var/tmp/datadog-agent/system-probe/kernel-headers" "DirectoryOrCreate") }}
{{- end }}
{{- end }}
