# The security test: how the server is set up, and how old secrets are. No values, no audit-hash (it would tell
# whether a guessed value is right), nothing written. sudo is what the server demands for reading these paths.
path "sys/mounts" {
  capabilities = ["read"]
}
path "sys/auth" {
  capabilities = ["read"]
}
path "sys/audit" {
  capabilities = ["read", "sudo"]
}
path "sys/policies/acl" {
  capabilities = ["list"]
}
path "sys/policies/acl/*" {
  capabilities = ["read"]
}
path "sys/config/auditing/request-headers" {
  capabilities = ["read", "sudo"]
}
path "sys/config/state/sanitized" {
  capabilities = ["read"]
}
path "sys/quotas/config" {
  capabilities = ["read"]
}
path "sys/quotas/rate-limit" {
  capabilities = ["list"]
}
path "sys/quotas/rate-limit/+" {
  capabilities = ["read"]
}
path "sys/storage/raft/configuration" {
  capabilities = ["read"]
}

# Roles, not what hangs below them: RoleIDs and SecretIDs have one more segment.
path "auth/approle/role" {
  capabilities = ["list"]
}
path "auth/approle/role/+" {
  capabilities = ["read"]
}
path "kv/config" {
  capabilities = ["read"]
}
path "kv/metadata/nasos/*" {
  capabilities = ["read", "list"]
}
# The names of a secret's fields, without their values.
path "kv/subkeys/nasos/*" {
  capabilities = ["read"]
}
path "kv/data/nasos/_meta/bootstrap" {
  capabilities = ["read"]
}
