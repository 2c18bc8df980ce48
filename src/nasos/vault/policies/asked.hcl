
# <secret> changes others: [rotation.secrets] of nasos.toml names it as their admin.
path "kv/data/nasos/<secret>" {
  capabilities = ["read"]
}
