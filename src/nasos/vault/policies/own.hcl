
# <secret> rotates: [rotation.secrets] of nasos.toml names it.
path "kv/data/nasos/<secret>" {
  capabilities = ["read", "update"]
}
path "kv/metadata/nasos/<secret>" {
  capabilities = ["read"]
}
path "kv/destroy/nasos/<secret>" {
  capabilities = ["update"]
}
