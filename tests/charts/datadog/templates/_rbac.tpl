{{/* A ClusterRole of one feature and its binding. Takes (dict "root" . "name" N "account" A "rules" YAML). */}}
{{- define "dd.cluster-role" }}
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: {{ .name }}
  labels:
    {{- include "dd.labels" .root | nindent 4 }}
rules:
  {{- .rules | nindent 2 }}
---
{{- include "dd.cluster-role-binding" (dict "root" .root "name" .name "account" .account "role" .name) }}
{{- end }}

{{- define "dd.cluster-role-binding" }}
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {{ .name }}
  labels:
    {{- include "dd.labels" .root | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: {{ .role }}
subjects:
  - kind: ServiceAccount
    name: {{ .account }}
    namespace: {{ .root.Release.Namespace }}
{{- end }}

{{/* The same within the namespace. */}}
{{- define "dd.role" }}
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "dd.labels" .root | nindent 4 }}
rules:
  {{- .rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "dd.labels" .root | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ .name }}
subjects:
  - kind: ServiceAccount
    name: {{ .account }}
    namespace: {{ .root.Release.Namespace }}
{{- end }}

{{- define "dd.rules.dca" -}}
{{- $full := include "dd.fullname" . -}}
- {apiGroups: [""], resources: [services, endpoints, pods, nodes, namespaces, componentstatuses, limitranges], verbs: [get, list, watch]}
- {apiGroups: [""], resources: [events], verbs: [get, list, watch, create]}
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [get, list, watch]}
- {apiGroups: [quota.openshift.io], resources: [clusterresourcequotas], verbs: [get, list]}
- {apiGroups: [autoscaling], resources: [horizontalpodautoscalers], verbs: [list, watch]}
{{- if .Values.datadog.collectEvents }}
- {apiGroups: [""], resources: [configmaps], resourceNames: [{{ $full }}token, datadogtoken], verbs: [get, update]}
{{- end }}
- {apiGroups: [""], resources: [configmaps], resourceNames: [{{ $full }}-leader-election, datadog-leader-election], verbs: [get, update]}
- {apiGroups: [coordination.k8s.io], resources: [leases], resourceNames: [{{ $full }}-leader-election], verbs: [get, update]}
- {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [create]}
- {apiGroups: [""], resources: [configmaps, events], verbs: [create]}
- {nonResourceURLs: [/version, /healthz, /metrics], verbs: [get]}
{{- if .Values.clusterAgent.metricsProvider.enabled }}
- {apiGroups: [""], resources: [configmaps], resourceNames: [datadog-custom-metrics, extension-apiserver-authentication], verbs: [get, list, watch, update]}
{{- if .Values.clusterAgent.metricsProvider.useDatadogMetrics }}
- {apiGroups: [datadoghq.com], resources: [datadogmetrics], verbs: [list, create, delete, watch]}
- {apiGroups: [datadoghq.com], resources: [datadogmetrics/status], verbs: [update]}
{{- end }}
{{- end }}
{{- if .Values.clusterAgent.admissionController.enabled }}
- {apiGroups: [admissionregistration.k8s.io], resources: [validatingwebhookconfigurations, mutatingwebhookconfigurations], resourceNames: [{{ .Values.clusterAgent.admissionController.webhookName }}], verbs: [get, list, watch, update, delete]}
- {apiGroups: [admissionregistration.k8s.io], resources: [validatingwebhookconfigurations, mutatingwebhookconfigurations], verbs: [create]}
- {apiGroups: [batch], resources: [jobs, cronjobs], verbs: [get]}
- {apiGroups: [apps], resources: [statefulsets, replicasets, deployments, daemonsets], verbs: [get]}
{{- end }}
- {apiGroups: [security.openshift.io], resources: [securitycontextconstraints], verbs: [use], resourceNames: [{{ $full }}-cluster-agent, hostnetwork]}
{{- end -}}
