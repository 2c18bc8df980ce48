# The watcher reads log files, not secrets; from the server it takes the counters only.
path "sys/metrics" {
  capabilities = ["read"]
}
