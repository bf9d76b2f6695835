#!/bin/bash
# The workflow of docs/azure-batch.md with Microsoft's own command line and Python library, as Debian packages them:
#
#     apt-get install azure-cli python3-azure
#     scripts/azure-clients/run.sh
#
# Starts a mesh of one agent below a temporary directory, on loopback, and ends it again. SHOAL_PROGRAM names another
# program than dist/shoal.js. Nothing is changed on the clients' side: they get an account, a key and a URL.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
program=${SHOAL_PROGRAM:-$here/../../dist/shoal.js}
directory=$(mktemp -d)
chmod 711 "$directory"
export SHOAL_DATA=$directory/agent AZURE_CONFIG_DIR=$directory/azure AZURE_CORE_COLLECT_TELEMETRY=no

node "$program" init --name machine-1 --listen /ip4/127.0.0.1/tcp/0 --no-mdns --api 127.0.0.1:0 >/dev/null
node "$program" agent 2>"$directory/agent.log" &
agent=$!
trap 'kill -INT $agent; wait $agent || true; rm -rf "$directory"' EXIT
until node "$program" status >/dev/null 2>&1; do
  kill -0 $agent || { cat "$directory/agent.log"; exit 1; }
  sleep 0.2
done
account=$(node "$program" account --output json)
field() { node -p "JSON.parse(process.argv[1]).$1" "$account"; }
AZURE_BATCH_ACCOUNT=$(field accountName)
AZURE_BATCH_ACCESS_KEY=$(field accountKey)
AZURE_BATCH_ENDPOINT=$(field url)
export AZURE_BATCH_ACCOUNT AZURE_BATCH_ACCESS_KEY AZURE_BATCH_ENDPOINT

echo "--- az batch"
bash "$here/workflow.sh" "$directory"
echo "--- Python, azure-batch"
/usr/bin/python3 "$here/workflow.py"
