# The watcher reads log files, not secrets; from the server it takes the counters and where alerts go, and it makes the
# server remember where the ledgers ended.
path "sys/metrics" {
  capabilities = ["read"]
}
path "kv/data/nasos/alerts/*" {
  capabilities = ["read"]
}
path "kv/metadata/nasos/alerts" {
  capabilities = ["list"]
}
path "kv/data/nasos/_meta/ledger" {
  capabilities = ["create", "read", "update"]
}
path "kv/metadata/nasos/_meta/ledger" {
  capabilities = ["read"]
}
