# The human administrator: all of nasos/, and the policies and roles named nasos-*. Whoever may write policies and
# roles can give himself anything, so this is as good as root within this server; what it cannot do directly is
# change audit, seal or raw storage, or make tokens that no role stands behind.
path "kv/data/nasos/*" {
  capabilities = ["create", "read", "update", "patch", "delete"]
}
path "kv/metadata/nasos/*" {
  capabilities = ["create", "read", "update", "patch", "delete", "list"]
}
# The names of a secret's fields, without their values.
path "kv/subkeys/nasos/*" {
  capabilities = ["read"]
}
path "kv/delete/nasos/*" {
  capabilities = ["update"]
}
path "kv/undelete/nasos/*" {
  capabilities = ["update"]
}
path "kv/destroy/nasos/*" {
  capabilities = ["update"]
}
path "sys/policies/acl" {
  capabilities = ["list"]
}
path "sys/policies/acl/nasos-*" {
  capabilities = ["create", "read", "update", "delete"]
}
path "auth/approle/role" {
  capabilities = ["list"]
}
path "auth/approle/role/nasos-*" {
  capabilities = ["create", "read", "update", "delete", "list"]
}

# Seeing whether the rest is as bootstrap left it; changing that takes a root token.
path "sys/mounts" {
  capabilities = ["read"]
}
path "sys/auth" {
  capabilities = ["read"]
}
path "sys/config/auditing/request-headers" {
  capabilities = ["read", "sudo"]
}
path "sys/quotas/config" {
  capabilities = ["read"]
}
path "sys/quotas/rate-limit/nasos-login" {
  capabilities = ["read"]
}

# OpenBao forgets this one setting at each restart (measured, 2.7.2), so the operator may set it: to this value only.
path "sys/mounts/sys/tune" {
  capabilities = ["update"]
  allowed_parameters = {
    "audit_non_hmac_request_keys" = [["policy", "type", "audit_non_hmac_request_keys", "audit_non_hmac_response_keys"]]
  }
}

# People: who may log in with a name and a password, and the end of all that a person logged in for.
path "auth/nasos-people/users" {
  capabilities = ["list"]
}
path "auth/nasos-people/users/*" {
  capabilities = ["create", "read", "update", "delete", "list"]
}
path "sys/leases/revoke-prefix/auth/nasos-people/login/*" {
  capabilities = ["update", "sudo"]
}
path "sys/quotas/rate-limit/nasos-people" {
  capabilities = ["read"]
}
