{{- define "tidegate.labels" -}}
app.kubernetes.io/name: tidegate
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "tidegate.metadata" -}}
name: {{ .Release.Name }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "tidegate.labels" . | nindent 2 }}
{{- end }}

{{- define "tidegate.guard.labels" -}}
app.kubernetes.io/name: tidegate-guard
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "tidegate.guard.metadata" -}}
name: {{ .Release.Name }}-guard
namespace: {{ .Release.Namespace }}
labels:
  {{- include "tidegate.guard.labels" . | nindent 2 }}
{{- end }}

{{- define "tidegate.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}

{{- /* What values.yaml has for repository.url: whoever has another there means it. */ -}}
{{- define "tidegate.exampleURL" -}}
https://git.example.com/plans.git
{{- end }}

{{- /* The cluster of `clusters` that tidegate runs in, as JSON: `{}` where there is none. */ -}}
{{- define "tidegate.here" -}}
{{- $here := dict }}
{{- range .Values.clusters }}
{{- if eq (toString .inCluster) "true" }}
{{- $here = . }}
{{- end }}
{{- end }}
{{- $here | toJson }}
{{- end }}

{{- /* Whether gateways are asked in the cluster that tidegate runs in. */ -}}
{{- define "tidegate.gateways" -}}
{{- $here := include "tidegate.here" . | fromJson }}
{{- if or .Values.istiod.gateways.find (eq (toString $here.gatewayAdmin) "auto") -}}
yes
{{- end }}
{{- end }}

{{- /* Whether a token for istiod is mounted: some address of it asks for one. */ -}}
{{- define "tidegate.istiodToken" -}}
{{- $here := include "tidegate.here" . | fromJson }}
{{- if or .Values.istiod.urls (eq (toString $here.istiodToken) "/secrets/istiod/token") -}}
yes
{{- end }}
{{- end }}

{{- /* The namespaces in which ports of pods are forwarded, as JSON. */ -}}
{{- define "tidegate.forwards" -}}
{{- $here := include "tidegate.here" . | fromJson }}
{{- $namespaces := list }}
{{- if .Values.istiod.find }}
{{- $namespaces = append $namespaces .Values.istiod.namespace }}
{{- end }}
{{- if eq (toString $here.istiod) "auto" }}
{{- $namespaces = append $namespaces ($here.istiodNamespace | default "istio-system") }}
{{- end }}
{{- if include "tidegate.gateways" . }}
{{- $namespaces = concat $namespaces .Values.istiod.gateways.namespaces }}
{{- end }}
{{- $namespaces | uniq | toJson }}
{{- end }}
