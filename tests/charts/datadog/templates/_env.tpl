{{/* A variable that is there where its value is: name and value, as they are or as JSON. */}}
{{- define "dd.env.text" }}
{{- if index . 1 }}
- name: {{ index . 0 }}
  value: {{ index . 1 | quote }}
{{- end }}
{{- end }}

{{- define "dd.env.json" }}
{{- with index . 1 }}
- name: {{ index $ 0 }}
  value: {{ toJson . | quote }}
{{- end }}
{{- end }}

{{/* Environment shared by every agent of any kind. Each define starts with a newline. */}}
{{- define "dd.env.everyone" }}
{{- with .Values.datadog.clusterName }}
- name: DD_CLUSTER_NAME
  value: {{ include "dd.cluster-name" $ }}
{{- end }}
{{- with .Values.datadog.tags }}
- name: DD_TAGS
  value: {{ tpl (toJson .) $ | quote }}
{{- end }}
{{- include "dd.env.json" (list "DD_KUBERNETES_NAMESPACE_LABELS_AS_TAGS" .Values.datadog.namespaceLabelsAsTags) }}
{{- include "dd.env.json" (list "DD_KUBERNETES_NODE_LABELS_AS_TAGS" .Values.datadog.nodeLabelsAsTags) }}
{{- include "dd.env.json" (list "DD_KUBERNETES_POD_ANNOTATIONS_AS_TAGS" .Values.datadog.podAnnotationsAsTags) }}
{{- include "dd.env.json" (list "DD_KUBERNETES_POD_LABELS_AS_TAGS" .Values.datadog.podLabelsAsTags) }}
{{- with .Values.datadog.site }}
- name: DD_SITE
  value: {{ . | quote }}
{{- end }}
{{- with .Values.datadog.dd_url }}
- name: DD_DD_URL
  value: {{ . | quote }}
{{- end }}
- name: KUBERNETES
  value: "yes"
- name: DD_CSI_ENABLED
  value: {{ .Values.datadog.csi.enabled | quote }}
{{- end }}

{{- define "dd.env.api-key" }}
- name: DD_API_KEY
  valueFrom:
    secretKeyRef:
      name: {{ include "dd.api-secret" . | quote }}
      key: api-key
{{- end }}

{{/* How to find and greet the Cluster Agent. */}}
{{- define "dd.env.dca" }}
{{- if include "dd.any-dca" . }}
- name: DD_CLUSTER_AGENT_ENABLED
  value: "true"
{{- /* Joined without both names, an agent is told that there is a Cluster Agent and not where. */}}
{{- if and (include "dd.dca-service" .) (include "dd.token-secret" .) }}
- name: DD_CLUSTER_AGENT_KUBERNETES_SERVICE_NAME
  value: {{ include "dd.dca-service" . | quote }}
- name: DD_CLUSTER_AGENT_AUTH_TOKEN
  valueFrom:
    secretKeyRef:
      name: {{ include "dd.token-secret" . | quote }}
      key: token
{{- end }}
{{- end }}
{{- end }}

{{/* With no Cluster Agent at all the agents elect among themselves who asks the API. */}}
{{- define "dd.env.leader" }}
{{- if not (include "dd.any-dca" .) }}
- name: DD_LEADER_ELECTION
  value: {{ .Values.datadog.leaderElection | quote }}
- name: DD_LEADER_ELECTION_DEFAULT_RESOURCE
  value: {{ .Values.datadog.leaderElectionResource | quote }}
{{- end }}
{{- end }}

{{/* Every container of the node agent's pod, the init-config container included. */}}
{{- define "dd.env.node" }}
{{- include "dd.env.api-key" . }}
- name: DD_REMOTE_CONFIGURATION_ENABLED
  value: {{ .Values.remoteConfiguration.enabled | quote }}
- name: DD_AUTH_TOKEN_FILE_PATH
  value: /etc/datadog-agent/auth/token
{{- if kindIs "bool" .Values.datadog.kubelet.tlsVerify }}
- name: DD_KUBELET_TLS_VERIFY
  value: {{ .Values.datadog.kubelet.tlsVerify | quote }}
{{- end }}
{{- with .Values.datadog.kubelet.hostCAPath }}
- name: DD_KUBELET_CLIENT_CA
  value: {{ include "dd.kubelet-ca" $ }}
{{- end }}
{{- include "dd.env.everyone" . }}
{{- include "dd.env.text" (list "DD_AC_EXCLUDE" .Values.datadog.acExclude) }}
{{- include "dd.env.text" (list "DD_AC_INCLUDE" .Values.datadog.acInclude) }}
{{- include "dd.env.text" (list "DD_CONTAINER_EXCLUDE" .Values.datadog.containerExclude) }}
{{- include "dd.env.text" (list "DD_CONTAINER_INCLUDE" .Values.datadog.containerInclude) }}
- name: DD_LANGUAGE_DETECTION_ENABLED
  value: "false"
- name: DD_LANGUAGE_DETECTION_REPORTING_ENABLED
  value: "false"
- name: DD_KUBERNETES_KUBELET_HOST
  valueFrom:
{{- .Values.datadog.kubelet.host.valueFrom | toYaml | nindent 4 }}
{{- if .Values.providers.eks.ec2.useHostnameFromFile }}
- name: DD_HOSTNAME_FILE
  value: /var/lib/cloud/data/instance-id
{{- end }}
{{- with .Values.datadog.criSocketPath }}
- name: DD_CRI_SOCKET_PATH
  value: {{ printf "/host%s" . | quote }}
{{- end }}
- name: DD_KUBELET_USE_API_SERVER
  value: {{ .Values.datadog.kubelet.useApiServer | quote }}
- name: DD_KUBERNETES_USE_ENDPOINT_SLICES
  value: {{ .Values.datadog.kubernetesUseEndpointSlices | quote }}
- name: DD_OTLP_CONFIG_LOGS_ENABLED
  value: "false"
{{- include "dd.free-env" .Values.datadog.env }}
{{- include "dd.free-env-dict" .Values.datadog.envDict }}
{{- end }}

{{- define "dd.kubelet-ca" -}}
{{ .Values.datadog.kubelet.agentCAPath | default (printf "/var/run/kubelet-ca/%s" (base .Values.datadog.kubelet.hostCAPath)) }}
{{- end -}}

{{- define "dd.env.apm" }}
- name: DD_APM_NON_LOCAL_TRAFFIC
  value: "true"
- name: DD_APM_RECEIVER_PORT
  value: {{ .Values.datadog.apm.port | quote }}
{{- if .Values.datadog.apm.socketEnabled }}
- name: DD_APM_RECEIVER_SOCKET
  value: {{ .Values.datadog.apm.socketPath | quote }}
{{- end }}
{{- include "dd.env.install-kpi" . }}
{{- end }}

{{- define "dd.env.install-kpi" }}
{{- range $key := list "install_time" "install_id" "install_type" }}
- name: DD_INSTRUMENTATION_{{ $key | upper }}
  valueFrom:
    configMapKeyRef:
      name: {{ include "dd.fullname" $ }}-kpi-telemetry-configmap
      key: {{ $key }}
{{- end }}
{{- end }}

{{/* The `agent` container: what it collects. */}}
{{- define "dd.env.agent" }}
- name: DD_PROCESS_CONFIG_PROCESS_COLLECTION_ENABLED
  value: {{ $.Values.datadog.processAgent.processCollection | quote }}
- name: DD_PROCESS_CONFIG_CONTAINER_COLLECTION_ENABLED
  value: {{ $.Values.datadog.processAgent.containerCollection | quote }}
- name: DD_PROCESS_AGENT_DISCOVERY_ENABLED
  value: {{ $.Values.datadog.processAgent.processDiscovery | quote }}
- name: DD_STRIP_PROCESS_ARGS
  value: {{ $.Values.datadog.processAgent.stripProcessArguments | quote }}
- name: DD_PROCESS_CONFIG_RUN_IN_CORE_AGENT_ENABLED
  value: "true"
- name: DD_LOG_LEVEL
  value: {{ .Values.agents.containers.agent.logLevel | default $.Values.datadog.logLevel | quote }}
- name: DD_DOGSTATSD_PORT
  value: {{ $.Values.datadog.dogstatsd.port | quote }}
- name: DD_DOGSTATSD_NON_LOCAL_TRAFFIC
  value: {{ $.Values.datadog.dogstatsd.nonLocalTraffic | quote }}
- name: DD_DOGSTATSD_TAG_CARDINALITY
  value: {{ $.Values.datadog.dogstatsd.tagCardinality | quote }}
- name: DD_DOGSTATSD_SOCKET
  value: {{ $.Values.datadog.dogstatsd.socketPath | quote }}
{{- if $.Values.datadog.dogstatsd.originDetection }}
- name: DD_DOGSTATSD_ORIGIN_DETECTION
  value: "true"
{{- end }}
{{- include "dd.env.dca" . }}
{{- if and $.Values.datadog.collectEvents (not (include "dd.any-dca" .)) }}
- name: DD_COLLECT_KUBERNETES_EVENTS
  value: "true"
{{- end }}
- name: DD_APM_ENABLED
  value: {{ include "dd.trace" . | not | not | quote }}
{{- if include "dd.trace" . }}
{{- include "dd.env.apm" . }}
{{- end }}
- name: DD_LOGS_ENABLED
  value: {{ include "dd.logs" . | not | not | quote }}
- name: DD_LOGS_CONFIG_CONTAINER_COLLECT_ALL
  value: {{ $.Values.datadog.logs.containerCollectAll | quote }}
{{- if include "dd.logs" . }}
- name: DD_LOGS_CONFIG_K8S_CONTAINER_USE_FILE
  value: {{ $.Values.datadog.logs.containerCollectUsingFiles | quote }}
{{- end }}
- name: DD_LOGS_CONFIG_AUTO_MULTI_LINE_DETECTION
  value: {{ $.Values.datadog.logs.autoMultiLineDetection | quote }}
- name: DD_HEALTH_PORT
  value: {{ .Values.agents.containers.agent.healthPort | quote }}
{{- with include "dd.config-providers" . }}
- name: DD_EXTRA_CONFIG_PROVIDERS
  value: {{ . | quote }}
{{- end }}
{{- $ignored := $.Values.datadog.ignoreAutoConfig }}
{{- if $.Values.datadog.kubeStateMetricsCore.enabled }}{{ $ignored = append $ignored "kubernetes_state" }}{{ end }}
{{- with $ignored }}
- name: DD_IGNORE_AUTOCONF
  value: {{ join " " . | quote }}
{{- end }}
{{- with $.Values.datadog.checksCardinality }}
- name: DD_CHECKS_TAG_CARDINALITY
  value: {{ . | quote }}
{{- end }}
- name: DD_CONTAINER_LIFECYCLE_ENABLED
  value: "true"
- name: DD_ORCHESTRATOR_EXPLORER_ENABLED
  value: {{ include "dd.orchestrator" . | not | not | quote }}
- name: DD_EXPVAR_PORT
  value: {{ $.Values.datadog.expvarPort | quote }}
- name: DD_COMPLIANCE_CONFIG_ENABLED
  value: "false"
- name: DD_COMPLIANCE_CONFIG_RUN_IN_SYSTEM_PROBE
  value: "false"
- name: DD_CONTAINER_IMAGE_ENABLED
  value: "true"
- name: DD_KUBELET_CORE_CHECK_ENABLED
  value: "true"
- name: DD_KUBERNETES_KUBELET_PODRESOURCES_SOCKET
  value: {{ printf "%s/kubelet.sock" $.Values.datadog.kubelet.podResourcesSocketDir | quote }}
- name: DD_KUBERNETES_KUBE_SERVICE_IGNORE_READINESS
  value: "false"
- name: DD_ORCHESTRATOR_EXPLORER_KUBELET_CONFIG_CHECK_ENABLED
  value: "true"
{{- include "dd.free-env" .Values.agents.containers.agent.env }}
{{- include "dd.free-env-dict" .Values.agents.containers.agent.envDict }}
{{- end }}

{{/* Which checks of the Cluster Agent the node agents may be given. Runners take the cluster checks over. */}}
{{- define "dd.config-providers" -}}
{{- if and .Values.datadog.clusterChecks.enabled (include "dd.any-dca" .) -}}
{{- $joined := and .Values.existingClusterAgent.join (not .Values.existingClusterAgent.clusterchecksEnabled) -}}
{{- if or $joined (include "dd.runner" .) }}endpointschecks{{ else }}clusterchecks endpointschecks{{ end -}}
{{- end -}}
{{- end -}}
