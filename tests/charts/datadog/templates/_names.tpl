{{/* Names, labels and Secret names. Nothing here is shortened after a suffix is added: see "names" in README.md. */}}

{{- define "dd.fullname" -}}
{{- $name := .Values.nameOverride | default "datadog" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "dd.chart" -}}
{{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "dd.labels" -}}
helm.sh/chart: {{ include "dd.chart" . | quote }}
app.kubernetes.io/name: {{ include "dd.fullname" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Labels of a few older objects come with Helm 2's quartet on top. */}}
{{- define "dd.old-labels" -}}
app: {{ include "dd.fullname" . | quote }}
chart: {{ include "dd.chart" . | quote }}
heritage: {{ .Release.Service | quote }}
release: {{ .Release.Name | quote }}
{{ include "dd.labels" . }}
{{- end -}}

{{/* What identifies a workload, on the object and on its pods. Takes (list . instance-suffix component), and
Datadog's own word for the component where it differs. */}}
{{- define "dd.workload-labels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "dd.fullname" $root | quote }}
app.kubernetes.io/instance: {{ printf "%s-%s" (include "dd.fullname" $root) (index . 1) | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
app.kubernetes.io/part-of: {{ printf "%s-%s" ($root.Release.Namespace | replace "-" "--") (include "dd.fullname" $root | replace "-" "--") }}
app.kubernetes.io/component: {{ index . 2 }}
agent.datadoghq.com/component: {{ last . }}
{{- end -}}

{{- define "dd.api-secret" -}}
{{ .Values.datadog.apiKeyExistingSecret | default (include "dd.fullname" .) }}
{{- end -}}

{{- define "dd.app-secret" -}}
{{ .Values.datadog.appKeyExistingSecret | default (printf "%s-appkey" (include "dd.fullname" .)) }}
{{- end -}}

{{- define "dd.token-secret" -}}
{{- if .Values.existingClusterAgent.join -}}
{{ .Values.existingClusterAgent.tokenSecretName | default "" }}
{{- else -}}
{{ .Values.clusterAgent.tokenExistingSecret | default (printf "%s-cluster-agent" (include "dd.fullname" .)) }}
{{- end -}}
{{- end -}}

{{- define "dd.dca-service" -}}
{{- if .Values.existingClusterAgent.join -}}
{{ .Values.existingClusterAgent.serviceName | default "" }}
{{- else -}}
{{ include "dd.fullname" . }}-cluster-agent
{{- end -}}
{{- end -}}

{{- define "dd.agent-account" -}}
{{- if .Values.agents.rbac.create -}}
{{ include "dd.fullname" . }}
{{- else -}}
{{ .Values.agents.rbac.serviceAccountName }}
{{- end -}}
{{- end -}}

{{- define "dd.dca-account" -}}
{{- if .Values.clusterAgent.rbac.create -}}
{{ include "dd.fullname" . }}-cluster-agent
{{- else -}}
{{ .Values.clusterAgent.rbac.serviceAccountName }}
{{- end -}}
{{- end -}}
