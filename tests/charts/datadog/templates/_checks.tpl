{{/* Values that the real chart refuses while rendering, whatever NOTES.txt thinks of them. */}}

{{- define "dd.cluster-name" -}}
{{- $name := tpl .Values.datadog.clusterName . -}}
{{- if gt (len $name) 80 -}}
{{- fail "Your `clusterName` isn't valid, it must be 80 characters or less." -}}
{{- end -}}
{{- if not (regexMatch "^([a-z0-9]([a-z0-9\\-_]*[a-z0-9])?\\.)*([a-z0-9]([a-z0-9\\-_]*[a-z0-9])?)$" $name) -}}
{{- fail "Your `clusterName` isn't valid, it must: \n- contain only lowercase letters, numbers, dots, hyphens and underscores, \n- start with an alphanumeric character, \n- end with an alphanumeric character, and\n- be FQDN-like, without a trailing period." -}}
{{- end -}}
{{- $name | quote -}}
{{- end -}}

{{/* Free `env` entries: a value that is empty, false or 0 becomes `valueFrom: null`. */}}
{{- define "dd.free-env" -}}
{{- range . }}
{{- if not .name }}{{ fail "env var entry must have a 'name' field" }}{{ end }}
- name: {{ .name }}
{{- if .value }}
  value: {{ .value | quote }}
{{- else }}
  valueFrom: {{ .valueFrom | toJson }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "dd.free-env-dict" -}}
{{- range $name, $value := . }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end -}}
