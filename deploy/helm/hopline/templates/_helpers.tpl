{{- define "hopline.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}{{ end -}}
{{- end }}

{{- define "hopline.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "hopline.labels" -}}
{{ include "hopline.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "hopline.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (ternary (include "hopline.name" .) "default" .Values.serviceAccount.create) }}
{{- end }}

{{- define "hopline.image" -}}
{{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- end }}

{{- define "hopline.tokens" -}}
{{ required "tokens.existingSecret: name the secret with the bearer tokens (kubectl create secret generic hopline-tokens --from-literal=ingest=... --from-literal=query=...)" .Values.tokens.existingSecret }}
{{- end }}

{{- define "hopline.isPulling" -}}
{{- if or .Values.azure.workspaceIds .Values.azure.resourceIds .Values.eventHubs.bootstrap }}true{{ end -}}
{{- end }}

{{/* What a pod of one kind has in common with all others. */}}
{{- define "hopline.podMetadata" -}}
labels:
  {{- include "hopline.labels" . | nindent 2 }}
  {{- if .root.Values.azure.workloadIdentity.enabled }}
  azure.workload.identity/use: "true"
  {{- end }}
  {{- with .root.Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .root.Values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "hopline.podSettings" -}}
serviceAccountName: {{ include "hopline.serviceAccount" .root }}
automountServiceAccountToken: false
enableServiceLinks: false # they would name variables as settings are named
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: { type: RuntimeDefault }
{{- with .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if .root.Values.topologySpread }}
topologySpreadConstraints:
  {{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "hopline.selector" $ | nindent 8 }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Image and privileges of a container. */}}
{{- define "hopline.container" -}}
image: {{ include "hopline.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
{{- end }}

{{- define "hopline.environment" -}}
{{- $optional := ternary ", optional: true" "" (ne .Values.tokens.fileKey "") }}
- name: HOPLINE_INGEST_TOKENS
  valueFrom: { secretKeyRef: { name: {{ include "hopline.tokens" . }}, key: {{ .Values.tokens.ingestKey }}{{ $optional }} } }
- name: HOPLINE_QUERY_TOKENS
  valueFrom: { secretKeyRef: { name: {{ include "hopline.tokens" . }}, key: {{ .Values.tokens.queryKey }}{{ $optional }} } }
{{- if .Values.tokens.fileKey }}
- name: HOPLINE_TOKENS_FILE
  value: /etc/hopline/tokens/{{ .Values.tokens.fileKey }}
{{- end }}
{{- with .Values.tenants }}
- name: HOPLINE_TENANTS
  value: {{ join "," . | quote }}
{{- end }}
{{- if .Values.tls.existingSecret }}
{{- if .Values.settings.HOPLINE_TLS_CLIENT_CA }}
{{- fail "settings.HOPLINE_TLS_CLIENT_CA: the kubelet's probes have no certificate to show" }}
{{- end }}
- name: HOPLINE_TLS_CERT
  value: /etc/hopline/tls/tls.crt
- name: HOPLINE_TLS_KEY
  value: /etc/hopline/tls/tls.key
{{- end }}
{{- if .Values.clickhouse.existingSecret }}
- name: HOPLINE_CLICKHOUSE_URL
  valueFrom: { secretKeyRef: { name: {{ .Values.clickhouse.existingSecret }}, key: {{ .Values.clickhouse.urlKey }} } }
{{- end }}
- name: HOPLINE_CLICKHOUSE_DATABASE
  value: {{ .Values.clickhouse.database | quote }}
{{- with .Values.clickhouse.cluster }}
- name: HOPLINE_CLICKHOUSE_CLUSTER
  value: {{ . | quote }}
{{- end }}
{{- range $name, $value := .Values.settings }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Settings of ports that are open where they are not 0. */}}
{{- define "hopline.doors" -}}
{{- range $name, $port := . }}
{{- if $port }}
- name: HOPLINE_{{ snakecase $name | upper }}_PORT
  value: {{ $port | quote }}
{{- end }}
{{- end }}
{{- end }}

{{- define "hopline.processes" -}}
{{- if gt (int .Values.ingest.processes) 1 -}}
- name: HOPLINE_INGEST_PROCESSES
  value: {{ .Values.ingest.processes | quote }}
{{- end }}
{{- end }}

{{- define "hopline.doorPorts" -}}
- { name: otlp-grpc, containerPort: 4317 }
- { name: ingest-http, containerPort: 4318 }
{{- include "hopline.morePorts" .Values.ports }}
{{- end }}

{{- define "hopline.readPorts" -}}
- { name: api, containerPort: 8080 }
{{- include "hopline.morePorts" .Values.queryPorts }}
{{- end }}

{{- define "hopline.morePorts" -}}
{{- range $name, $port := . }}
{{- if $port }}
- { name: {{ kebabcase $name }}, containerPort: {{ $port }} }
{{- end }}
{{- end }}
{{- end }}

{{/* The same ports of a Service, and of a NetworkPolicy. */}}
{{- define "hopline.servicePorts" -}}
{{- range $name, $port := . }}
{{- if $port }}
- { name: {{ kebabcase $name }}, port: {{ $port }}, targetPort: {{ kebabcase $name }} }
{{- end }}
{{- end }}
{{- end }}

{{- define "hopline.policyPorts" -}}
{{- range $name, $port := . }}
{{- if $port }}
- { port: {{ kebabcase $name }} }
{{- end }}
{{- end }}
{{- end }}

{{- define "hopline.scheme" -}}
{{ ternary "https" "http" (ne .Values.tls.existingSecret "") }}
{{- end }}

{{- define "hopline.sources" -}}
{{- with .Values.azure }}
{{- with .workspaceIds }}
- name: HOPLINE_AZURE_WORKSPACE_IDS
  value: {{ join "," . | quote }}
{{- end }}
{{- with .resourceIds }}
- name: HOPLINE_AZURE_RESOURCE_IDS
  value: {{ join "," . | quote }}
{{- end }}
{{- if or .workspaceIds .resourceIds }}
- name: HOPLINE_AZURE_TABLES
  value: {{ join "," .tables | quote }}
{{- end }}
{{- end }}
{{- if .Values.eventHubs.bootstrap }}
- name: HOPLINE_EVENTHUB_BOOTSTRAP
  value: {{ .Values.eventHubs.bootstrap | quote }}
- name: HOPLINE_EVENTHUB_TOPICS
  value: {{ join "," .Values.eventHubs.topics | quote }}
{{- with .Values.eventHubs.existingSecret }}
- name: HOPLINE_EVENTHUB_CONNECTION_STRING
  valueFrom: { secretKeyRef: { name: {{ . }}, key: {{ $.Values.eventHubs.connectionStringKey }} } }
{{- end }}
{{- end }}
{{- end }}

{{/* Alive as long as the process answers; ready while the journal, or the store, takes work. */}}
{{- define "hopline.probes" -}}
startupProbe:
  {{- include "hopline.ask" (dict "root" .root "path" "/healthz" "port" .port) | nindent 2 }}
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  {{- include "hopline.ask" (dict "root" .root "path" "/healthz" "port" .port) | nindent 2 }}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  {{- include "hopline.ask" (dict "root" .root "path" "/readyz" "port" .port) | nindent 2 }}
  periodSeconds: 5
  timeoutSeconds: 5
{{- end }}

{{- define "hopline.ask" -}}
httpGet: { path: {{ .path }}, port: {{ .port }}{{ if .root.Values.tls.existingSecret }}, scheme: HTTPS{{ end }} }
{{- end }}

{{/* Connections that are still made while the Service forgets this pod are served. */}}
{{- define "hopline.leave" -}}
lifecycle:
  preStop: { exec: { command: [sleep, "5"] } }
{{- end }}

{{- define "hopline.volumeClaim" -}}
- metadata: { name: data }
  spec:
    accessModes: [ReadWriteOnce]
    {{- with .storageClass }}
    storageClassName: {{ . }}
    {{- end }}
    resources: { requests: { storage: {{ .size }} } }
{{- end }}

{{- define "hopline.mounts" -}}
- { name: data, mountPath: /var/lib/hopline }
- { name: tmp, mountPath: /tmp }
{{- if .Values.tokens.fileKey }}
- { name: tokens, mountPath: /etc/hopline/tokens, readOnly: true }
{{- end }}
{{- if .Values.tls.existingSecret }}
- { name: tls, mountPath: /etc/hopline/tls, readOnly: true }
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "hopline.volumes" -}}
- name: tmp
  emptyDir: { sizeLimit: 1Gi }
{{- with .Values.tokens.fileKey }}
- name: tokens
  secret: { secretName: {{ include "hopline.tokens" $ }}, items: [{ key: {{ . }}, path: {{ . }} }] }
{{- end }}
{{- with .Values.tls.existingSecret }}
- name: tls
  secret: { secretName: {{ . }} }
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "hopline.journalBytes" -}}
{{ mul (trimSuffix "Gi" .Values.ingest.persistence.size | int64) 858993459 }}
{{- end }}

{{- define "hopline.ingestComponent" -}}
{{ ternary "server" "ingest" (eq .Values.mode "single") }}
{{- end }}

{{- define "hopline.queryComponent" -}}
{{ ternary "server" "query" (eq .Values.mode "single") }}
{{- end }}
