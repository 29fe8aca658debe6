{{/* The version that feature gates look at. A digest or a hand-made tag counts as the newest. */}}
{{- define "dd.agent-version" -}}
{{- $tag := .Values.agents.image.tag | toString | splitList "@" | first | trimSuffix "-jmx" | trimSuffix "-full" -}}
{{- if or .Values.agents.image.doNotCheckTag (not (regexMatch "^[0-9]+\\.[0-9]+\\.[0-9]+" $tag)) -}}
7.81.1
{{- else -}}
{{ $tag }}
{{- end -}}
{{- end -}}

{{- define "dd.check-versions" -}}
{{- if not (semverCompare "^6.36.0-0 || ^7.36.0-0" (include "dd.agent-version" .)) -}}
{{- fail "This version of the chart requires an agent image 7.36.0 or greater. If you want to force and skip this check, use `--set agents.image.doNotCheckTag=true`" -}}
{{- end -}}
{{- end -}}

{{- define "dd.registry" -}}
{{- $site := .Values.datadog.site | default "datadoghq.com" -}}
{{- $mode := .Values.registryMigrationMode | default "" -}}
{{- if .Values.registry -}}
{{ .Values.registry }}
{{- else if eq $site "ddog-gov.com" -}}
public.ecr.aws/datadog
{{- else if eq $site "us3.datadoghq.com" -}}
datadoghq.azurecr.io
{{- else if has $mode (list "auto" "all") -}}
registry.datadoghq.com
{{- else if eq $site "datadoghq.eu" -}}
eu.gcr.io/datadoghq
{{- else if eq $site "ap1.datadoghq.com" -}}
asia.gcr.io/datadoghq
{{- else -}}
gcr.io/datadoghq
{{- end -}}
{{- end -}}

{{/* Takes (list . image). */}}
{{- define "dd.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{- $path := $image.repository | default (printf "%s/%s" (include "dd.registry" $root) $image.name) -}}
{{- $suffix := "" -}}
{{- if $root.Values.useFIPSAgent }}{{ $suffix = "-fips" }}{{ end -}}
{{- with $image.tagSuffix }}{{ $suffix = printf "%s-%s" $suffix . }}{{ end -}}
{{- if $image.digest -}}
{{ printf "%s@%s" $path $image.digest | quote }}
{{- else -}}
{{ printf "%s:%s%s" $path $image.tag $suffix | quote }}
{{- end -}}
{{- end -}}
