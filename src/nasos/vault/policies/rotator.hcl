# The rotator: replaces what it may rotate, and journals in _rotation/. It destroys old versions of what leaked; that
# takes nothing from it that ten new versions would not prune. Of what only people replace it sees the exchange's key,
# because it finishes a replacement that was killed, asks the exchange about the key, and puts away the old one once the
# exchange refuses it.
path "kv/data/nasos/bots/+/api" {
  capabilities = ["create", "read", "update"]
}
path "kv/data/nasos/bots/+/db" {
  capabilities = ["create", "read", "update"]
}
path "kv/data/nasos/bots/+/jwt" {
  capabilities = ["create", "read", "update"]
}
path "kv/data/nasos/bots/+/exchange" {
  capabilities = ["create", "read", "update"]
}
path "kv/delete/nasos/bots/+/exchange" {
  capabilities = ["update"]
}
path "kv/destroy/nasos/bots/+/api" {
  capabilities = ["update"]
}
path "kv/destroy/nasos/bots/+/db" {
  capabilities = ["update"]
}
path "kv/destroy/nasos/bots/+/jwt" {
  capabilities = ["update"]
}
path "kv/data/nasos/postgres/*" {
  capabilities = ["create", "read", "update"]
}
path "kv/destroy/nasos/postgres/*" {
  capabilities = ["update"]
}
path "kv/data/nasos/gateway/*" {
  capabilities = ["create", "read", "update"]
}
path "kv/destroy/nasos/gateway/*" {
  capabilities = ["update"]
}

# The token that renews Cloudflare's certificates.
path "kv/data/nasos/cloudflare/zone" {
  capabilities = ["read"]
}

# How old every secret is, for the timetable; no value.
path "kv/metadata/nasos/*" {
  capabilities = ["read", "list"]
}

# Pending values are its own: it removes them, versions and all, once they are current.
path "kv/data/nasos/_rotation/*" {
  capabilities = ["create", "read", "update", "delete"]
}
path "kv/metadata/nasos/_rotation/*" {
  capabilities = ["create", "read", "update", "delete", "list"]
}

# That the server is bootstrapped; an audited read that needs no secret.
path "kv/data/nasos/_meta/bootstrap" {
  capabilities = ["read"]
}

# Another key for what is written from now on; the ones before are kept by the server, and none can be read.
path "sys/rotate" {
  capabilities = ["update", "sudo"]
}
path "sys/key-status" {
  capabilities = ["read"]
}
