# The user's own programs: everything under nasos/app/, nothing beside it.
path "kv/data/nasos/app/*" {
  capabilities = ["create", "read", "update", "patch", "delete"]
}
path "kv/metadata/nasos/app/*" {
  capabilities = ["create", "read", "update", "patch", "delete", "list"]
}
path "kv/delete/nasos/app/*" {
  capabilities = ["update"]
}
path "kv/undelete/nasos/app/*" {
  capabilities = ["update"]
}
path "kv/destroy/nasos/app/*" {
  capabilities = ["update"]
}
