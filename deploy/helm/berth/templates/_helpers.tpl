{{- define "berth.name" -}}
{{- if contains "berth" .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-berth{{ end -}}
{{- end }}

{{- define "berth.selectorLabels" -}}
app.kubernetes.io/name: berth
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "berth.labels" -}}
{{ include "berth.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "berth.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "berth.name" .) -}}
{{- else }}{{ .Values.serviceAccount.name | default "default" }}{{ end -}}
{{- end }}

{{- /* "true" where blobs are in a bucket. */}}
{{- define "berth.bucket" -}}
{{- if eq "s3" (dig "storage" "type" "filesystem" .Values.config) }}true{{ end -}}
{{- end }}

{{- /* "true" where nothing is kept on a volume. */}}
{{- define "berth.stateless" -}}
{{- if and .Values.database.existingSecret (include "berth.bucket" .) }}true{{ end -}}
{{- end }}

{{- /* "true" where pods can serve beside each other. */}}
{{- define "berth.replicated" -}}
{{- $shared := or (include "berth.bucket" .) (has "ReadWriteMany" .Values.persistence.accessModes) -}}
{{- if and .Values.database.existingSecret $shared }}true{{ end -}}
{{- end }}

{{- /* The variable of each key of the tree: uploads.expireAfter → BERTH_UPLOADS_EXPIRE_AFTER. */}}
{{- define "berth.env" -}}
{{- $prefix := .prefix -}}
{{- range $key, $value := .tree }}
{{- $name := printf "%s_%s" $prefix (regexReplaceAll "([a-z0-9])([A-Z])" $key "${1}_${2}" | upper) }}
{{- if kindIs "map" $value }}
{{- include "berth.env" (dict "prefix" $name "tree" $value) }}
{{- else if kindIs "slice" $value }}
- name: {{ $name }}
  value: {{ join "," $value | quote }}
{{- else if not (kindIs "invalid" $value) }}
- name: {{ $name }}
  {{- /* Helm reads numbers as floats, and would write a million as 1e+06. */}}
  value: {{ ternary (printf "%.0f" $value) (toString $value) (kindIs "float64" $value) | quote }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Seconds between the end of a pod's traffic and SIGTERM: what still has its address asks it no more. */}}
{{- define "berth.farewell" -}}5{{- end }}

{{- /* Seconds: the farewell, the drain timeout, and what closing takes. */}}
{{- define "berth.gracePeriod" -}}
{{- $drain := dig "shutdown" "drainTimeout" "30s" .Values.config -}}
{{- $unit := regexFind "[a-z]+$" $drain -}}
{{- $count := regexFind "^[0-9]+" $drain | int -}}
{{- $seconds := get (dict "s" 1 "m" 60 "h" 3600 "d" 86400) $unit | default 1 -}}
{{- if eq $unit "ms" }}{{ $count = div $count 1000 }}{{ end -}}
{{- add (mul $count $seconds) (include "berth.farewell" . | int) 15 -}}
{{- end }}

{{- /* What cannot work is refused here, with the remedy, and not found out by the pods. */}}
{{- define "berth.check" -}}
{{- if or (gt (int .Values.replicas) 1) .Values.autoscaling.enabled }}
{{- if not (include "berth.replicated" .) }}
{{- fail "more than one replica needs PostgreSQL (database.existingSecret), and S3 (config.storage.type: s3) or a volume with ReadWriteMany" }}
{{- end }}
{{- end }}
{{- if or (dig "database" "url" "" .Values.config) (dig "storage" "s3" "secretAccessKey" "" .Values.config) (dig "storage" "s3" "sessionToken" "" .Values.config) (dig "admin" "password" "" .Values.config) (dig "signOn" "clientSecret" "" .Values.config) }}
{{- fail "secrets do not go into config: name the Secrets that hold them in database.existingSecret, s3.existingSecret and admin.existingSecret, others in extraEnv" }}
{{- end }}
{{- range $key := list "listen" "data" "operations" }}
{{- if hasKey $.Values.config $key }}
{{- fail (printf "config.%s is set by the image and the chart" $key) }}
{{- end }}
{{- end }}
{{- end }}
