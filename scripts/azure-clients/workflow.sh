#!/bin/bash
# Pool, job, tasks, lists, counts, files, schedule, autoscale and their end, with `az batch` alone. The account stands in
# the environment, as az itself reads it. $1: a directory to write to.
set -euo pipefail
directory=$1

step() { printf '%-44s' "$1"; shift; local begun=$SECONDS; "$@" && echo "  ($((SECONDS - begun)) s)"; }
# An operation that the mesh does not have says so; everything else must work.
optional() {
  local said
  if said=$("$@" 2>&1); then echo -n "done"
  elif grep -q 'is not supported by this mesh' <<<"$said"; then echo -n 'not supported by this mesh'
  else echo "$said"; return 1; fi
}
wait_for() { # WANTED COMMAND...
  local wanted=$1 end=$((SECONDS + 120)); shift
  until [ "$("$@")" = "$wanted" ]; do
    ((SECONDS < end)) || { echo "waited in vain for $wanted: $*"; return 1; }
    sleep 1
  done
  echo -n "$wanted"
}
quiet() { "$@" >"$directory/said" && echo -n done; }

step 'pool create' quiet az batch pool create --id az --vm-size shoal.1c1g --target-dedicated-nodes 1 \
  --task-slots-per-node 4 --image canonical:0001-com-ubuntu-server-jammy:22_04-lts \
  --node-agent-sku-id 'batch.node.ubuntu 22.04' --metadata purpose=check
step 'pool set' quiet az batch pool set --pool-id az --metadata purpose=changed
step 'a node is idle' wait_for idle az batch node list --pool-id az --query '[0].state' -o tsv
step 'job create' quiet az batch job create --id az-job --pool-id az --priority 5
step 'task create' quiet az batch task create --job-id az-job --task-id one --command-line "/bin/sh -c 'echo hello'"
node -e "console.log(JSON.stringify(Array.from({ length: 1000 }, (_, n) => ({ id: 't' + n, commandLine: '/bin/true' }))))" \
  >"$directory/tasks.json"
step 'task create, a collection of 1,000' quiet az batch task create --job-id az-job --json-file "$directory/tasks.json"
step 'job task-counts show' wait_for 1001 az batch job task-counts show --job-id az-job \
  --query taskCounts.completed -o tsv
step 'task list, with filter and select' az batch task list --job-id az-job \
  --filter "startswith(id, 't99') and executionInfo/exitCode eq 0" --select id --query 'length(@)' -o tsv
step 'task file list' az batch task file list --job-id az-job --task-id one --query '[].name' -o tsv
step 'task file download' quiet az batch task file download --job-id az-job --task-id one --file-path stdout.txt \
  --destination "$directory/stdout.txt"
step 'which says' cat "$directory/stdout.txt"
step 'task reset' quiet az batch task reset --job-id az-job --task-id one --max-task-retry-count 2
step 'job-schedule create' optional az batch job-schedule create --id az-schedule --pool-id az \
  --recurrence-interval PT1H
step 'job-schedule delete' optional az batch job-schedule delete --job-schedule-id az-schedule --yes
step 'pool autoscale enable' optional az batch pool autoscale enable --pool-id az \
  --auto-scale-formula '$TargetDedicatedNodes = 1;'
step 'pool autoscale evaluate' optional az batch pool autoscale evaluate --pool-id az \
  --auto-scale-formula '$TargetDedicatedNodes = 1;'
step 'pool autoscale disable' optional az batch pool autoscale disable --pool-id az
step 'pool node-counts list' az batch pool node-counts list --query "[?poolId=='az'].dedicated.total" -o tsv
step 'pool usage-metrics list' quiet az batch pool usage-metrics list
step 'job stop' quiet az batch job stop --job-id az-job
step 'job is completed' wait_for completed az batch job show --job-id az-job --query state -o tsv
step 'job delete' quiet az batch job delete --job-id az-job --yes
step 'pool delete' quiet az batch pool delete --pool-id az --yes
