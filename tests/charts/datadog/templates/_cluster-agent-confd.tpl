{{/* Files of the Cluster Agent's conf.d that the chart writes itself: file name to text. */}}
{{- define "dd.dca-files" -}}
{{- if .Values.datadog.kubeStateMetricsCore.enabled }}
kubernetes_state_core.yaml.default: |-
  init_config:
  instances:
    - collectors:
        {{- range include "dd.ksm-collectors" . | fromYamlArray }}
        - {{ . }}
        {{- end }}
      labels_as_tags: {{ toJson .Values.datadog.kubeStateMetricsCore.labelsAsTags }}
{{- end }}
{{- if .Values.datadog.helmCheck.enabled }}
helm.yaml: |-
  init_config:
  instances:
    - collect_events: {{ .Values.datadog.helmCheck.collectEvents }}
      helm_values_as_tags: {{ toJson .Values.datadog.helmCheck.valuesAsTags }}
{{- end }}
{{- if .Values.datadog.collectEvents }}
kubernetes_apiserver.yaml: |-
  init_config:
  instances:
    - filtering_enabled: {{ .Values.datadog.kubernetesEvents.filteringEnabled }}
      unbundle_events: {{ .Values.datadog.kubernetesEvents.unbundleEvents }}
{{- end }}
{{- if .Values.providers.eks.controlPlaneMonitoring }}
{{- range $check, $path := dict "kube_apiserver_metrics" "/metrics" "kube_controller_manager" "/apis/metrics.eks.amazonaws.com/v1/kcm/container/metrics" "kube_scheduler" "/apis/metrics.eks.amazonaws.com/v1/ksh/container/metrics" }}
{{ $check }}.yaml: |-
  advanced_ad_identifiers:
    - kube_endpoints:
        name: kubernetes
        namespace: default
  cluster_check: true
  init_config: {}
  instances:
    - prometheus_url: "https://%%host%%:%%port%%{{ $path }}"
      bearer_token_auth: true
      {{- if ne $path "/metrics" }}
      extra_headers:
        accept: "*/*"
      tls_ca_cert: /var/run/secrets/kubernetes.io/serviceaccount/ca.crt
      {{- end }}
{{- end }}
{{- end }}
{{- if .Values.providers.openshift.controlPlaneMonitoring }}
{{- range $check, $service := dict "kube_apiserver_metrics" "default/kubernetes" "kube_controller_manager" "openshift-kube-controller-manager/kube-controller-manager" "kube_scheduler" "openshift-kube-scheduler/scheduler" "etcd" "openshift-etcd/etcd" }}
{{ $check }}.yaml: |-
  advanced_ad_identifiers:
    - kube_endpoints:
        name: {{ base $service }}
        namespace: {{ dir $service }}
        resolve: ip
  cluster_check: true
  init_config: {}
  instances:
    - prometheus_url: "https://%%host%%:%%port%%/metrics"
      {{- if eq $check "etcd" }}
      ssl_verify: false
      tls_cert: /etc/etcd-certs/tls.crt
      tls_private_key: /etc/etcd-certs/tls.key
      {{- else }}
      bearer_token_auth: true
      {{- if ne $check "kube_apiserver_metrics" }}
      ssl_verify: false
      {{- end }}
      {{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "dd.ksm-collectors" -}}
- nodes
- pods
- services
- resourcequotas
- persistentvolumeclaims
- persistentvolumes
- namespaces
- endpoints
- daemonsets
- deployments
- replicasets
- statefulsets
- cronjobs
- jobs
- horizontalpodautoscalers
- poddisruptionbudgets
- storageclasses
- ingresses
{{- if .Values.datadog.kubeStateMetricsCore.collectSecretMetrics }}
- secrets
{{- end }}
{{- if .Values.datadog.kubeStateMetricsCore.collectConfigMaps }}
- configmaps
{{- end }}
{{- end -}}
