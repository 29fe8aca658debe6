{{- define "operator.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "operator.account" -}}
{{ .Values.serviceAccount.name | default (include "operator.fullname" .) }}
{{- end -}}

{{- define "operator.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* What the cluster's endpoint ConfigMap says: nothing on the first install and in `helm template`, something from
the second upgrade on. Takes (list . key). */}}
{{- define "operator.endpoint" -}}
{{- $root := index . 0 -}}
{{- $found := lookup "v1" "ConfigMap" $root.Release.Namespace (printf "%s-endpoint-config" $root.Release.Name) -}}
{{- if $found -}}
{{- get $found.data (index . 1) -}}
{{- end -}}
{{- end -}}
