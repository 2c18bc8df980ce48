# The gateway: reads the keys that it signs with, and the second factors of those who log in.
path "kv/data/nasos/gateway/signing" {
  capabilities = ["read"]
}
path "kv/data/nasos/gateway/people/*" {
  capabilities = ["read"]
}
path "kv/data/nasos/gateway/machines/*" {
  capabilities = ["read"]
}

# Which rights somebody has now, each time that his session goes on; no password can be read there.
path "auth/nasos-people/users/+" {
  capabilities = ["read"]
}

# That the server is bootstrapped; an audited read that needs no secret.
path "kv/data/nasos/_meta/bootstrap" {
  capabilities = ["read"]
}
