#!/bin/sh
# Makes the Vault server of VAULT_ADDR ready; safe to run again. A thin front of "nasos vault bootstrap": same options,
# same exit code. Keys and credentials go to NASOS_HOME. Waits a minute for the server, because both start together.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
nasos=$here/../../nasos
[ -x "$nasos" ] || nasos=nasos

exec "$nasos" vault bootstrap --wait 60 "$@"
