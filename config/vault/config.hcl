# Production configuration for the official OpenBao image (docker.io/openbao/openbao, 2.5 or later), one node.
# docs/vault.md explains what differs for HashiCorp Vault and for a cluster.
#
# Mounts that it expects, each owned by the container's user:
#   /openbao/data            volume, 0700          Raft storage (encrypted)
#   /openbao/audit/primary   volume, 0700          must exist: the server would create it with the file's mode
#   /openbao/audit/second    volume, 0700          on another disk, if there is one
#   /openbao/tls             read only             vault.pem, vault.key (0600), ca.pem
#   /run/secrets/unseal.key  read only, 0400       32 random bytes; never on the volume that holds the data

ui = false

# What the server tells others about itself: the name that is on its certificate.
api_addr     = "https://vault:8200"
cluster_addr = "https://vault:8201"

storage "raft" {
  path    = "/openbao/data"
  node_id = "vault-1"

  # 5, the default, is meant for slow disks: a start takes 9 s instead of 3, a lost leader 13 s instead of 2.
  performance_multiplier = 1
}

listener "tcp" {
  address         = "0.0.0.0:8200"
  cluster_address = "0.0.0.0:8201"

  tls_cert_file   = "/openbao/tls/vault.pem"
  tls_key_file    = "/openbao/tls/vault.key"
  tls_min_version = "tls13"

  # A renewed certificate is taken up without a restart: after a restart a Shamir server would wait for people.
  tls_auto_reload = true

  # Anybody may send a login; without a limit its body fills the audit disk, and a full one stops the server.
  max_request_size = 2097152

  # consistency_missing_header_forward stays off. A sealed node with it answers 503 to sys/init, sys/unseal and
  # sys/seal-status, so it could never be initialized. A cluster that wants it has a second listener without it,
  # on loopback, for exactly these requests (docs/vault.md).
}

# Unseals at start without a person. The trade-off: whoever can read this key and the data volume has everything, so
# keep them apart. Without this stanza the server uses Shamir shares and waits for "nasos vault unseal" at each start.
seal "static" {
  current_key_id = "1"
  current_key    = "file:///run/secrets/unseal.key"
}

# Two devices: the server refuses every request that it cannot write to at least one of them, so a single full disk
# must not be the end. Accessors are in the clear, so that a token seen in the log can be revoked; values never are.
# Rotate with rename and SIGHUP, never with copytruncate (it loses lines).
audit "file" "primary" {
  options {
    file_path     = "/openbao/audit/primary/audit.log"
    mode          = "0600"
    hmac_accessor = "false"
  }
}

audit "file" "second" {
  options {
    file_path            = "/openbao/audit/second/audit.log"
    mode                 = "0600"
    hmac_accessor        = "false"
    elide_list_responses = "true"
  }
}

telemetry {
  prometheus_retention_time = "1h"
  disable_hostname          = true
}
