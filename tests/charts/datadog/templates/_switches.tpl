{{/* Each switch gives "yes" or nothing, so that it reads well in an `if include`. */}}

{{/* A Cluster Agent of our own: joining another release's turns it off, whatever clusterAgent.enabled says. */}}
{{- define "dd.own-dca" -}}
{{- if and .Values.clusterAgent.enabled (not .Values.existingClusterAgent.join) }}yes{{ end -}}
{{- end -}}

{{/* Some Cluster Agent to talk to, ours or joined. */}}
{{- define "dd.any-dca" -}}
{{- if or .Values.clusterAgent.enabled .Values.existingClusterAgent.join }}yes{{ end -}}
{{- end -}}

{{- define "dd.metrics-provider" -}}
{{- if and (include "dd.own-dca" .) .Values.clusterAgent.metricsProvider.enabled }}yes{{ end -}}
{{- end -}}

{{- define "dd.admission" -}}
{{- if and (include "dd.own-dca" .) .Values.clusterAgent.admissionController.enabled }}yes{{ end -}}
{{- end -}}

{{- define "dd.runner" -}}
{{- if and .Values.clusterChecksRunner.enabled .Values.datadog.clusterChecks.enabled (include "dd.own-dca" .) }}yes{{ end -}}
{{- end -}}

{{- define "dd.orchestrator" -}}
{{- if and .Values.datadog.orchestratorExplorer.enabled (include "dd.any-dca" .) }}yes{{ end -}}
{{- end -}}

{{/* No key, no agents, and not a word about it. */}}
{{- define "dd.agents" -}}
{{- if and .Values.agents.enabled (or .Values.datadog.apiKey .Values.datadog.apiKeyExistingSecret) }}yes{{ end -}}
{{- end -}}

{{- define "dd.trace" -}}
{{- if or .Values.datadog.apm.socketEnabled .Values.datadog.apm.portEnabled .Values.datadog.apm.enabled }}yes{{ end -}}
{{- end -}}

{{- define "dd.logs" -}}
{{- if or .Values.datadog.logs.enabled .Values.datadog.logsEnabled }}yes{{ end -}}
{{- end -}}

{{/* Service discovery needs agent 7.78; the other features that need it are switches that users set knowingly. */}}
{{- define "dd.probe" -}}
{{- $wanted := or $.Values.datadog.networkMonitoring.enabled $.Values.datadog.serviceMonitoring.enabled $.Values.datadog.systemProbe.enableTCPQueueLength $.Values.datadog.systemProbe.enableOOMKill -}}
{{- if or $wanted (and $.Values.datadog.discovery.enabled (semverCompare ">=7.78.0-0" (include "dd.agent-version" .))) }}yes{{ end -}}
{{- end -}}

{{- define "dd.probe-host-files" -}}
{{- if and (include "dd.probe" .) (not .Values.providers.talos.enabled) }}yes{{ end -}}
{{- end -}}

{{- define "dd.usr-src" -}}
{{- if and (include "dd.probe-host-files" .) (not .Values.providers.gke.cos) (not .Values.providers.flatcar.enabled) }}yes{{ end -}}
{{- end -}}

{{/* Files for the Cluster Agent's conf.d, also in a release that has none of its own: an orphan. The cluster checks of
EKS and OpenShift do not count: alone, they are dropped without a word. */}}
{{- define "dd.dca-confd" -}}
{{- if or .Values.clusterAgent.confd .Values.clusterAgent.advancedConfd .Values.datadog.kubeStateMetricsCore.enabled .Values.datadog.helmCheck.enabled .Values.datadog.collectEvents }}yes{{ end -}}
{{- end -}}
