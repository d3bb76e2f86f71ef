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

{{- /* The namespaces in which ports of pods are forwarded, as JSON. */ -}}
{{- define "tidegate.forwards" -}}
{{- $namespaces := list }}
{{- if .Values.istiod.find }}
{{- $namespaces = append $namespaces .Values.istiod.namespace }}
{{- end }}
{{- if .Values.istiod.gateways.find }}
{{- $namespaces = concat $namespaces .Values.istiod.gateways.namespaces }}
{{- end }}
{{- $namespaces | uniq | toJson }}
{{- end }}
