# The gateway: reads its own signing keys and logins.
path "kv/data/nasos/gateway/*" {
  capabilities = ["read"]
}
path "kv/metadata/nasos/gateway/*" {
  capabilities = ["read", "list"]
}
