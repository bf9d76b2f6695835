"""The same workflow with Microsoft's Python library. The account stands in the environment."""
import datetime
import os
import sys
import time

from azure.batch import BatchServiceClient
from azure.batch import models
from azure.batch.batch_auth import SharedKeyCredentials

ENVIRONMENT = os.environ
client = BatchServiceClient(
    SharedKeyCredentials(ENVIRONMENT["AZURE_BATCH_ACCOUNT"], ENVIRONMENT["AZURE_BATCH_ACCESS_KEY"]),
    batch_url=ENVIRONMENT["AZURE_BATCH_ENDPOINT"],
)


def step(name, run):
    begun = time.monotonic()
    try:
        said = run()
    except models.BatchErrorException as error:
        if error.error.code != "OperationNotSupported":
            raise
        said = error.error.code
    print(f"{name:44}{'done' if said is None else said}  ({time.monotonic() - begun:.1f} s)", flush=True)


def wait_for(wanted, read):
    end = time.monotonic() + 120
    while read() != wanted:
        if time.monotonic() > end:
            sys.exit(f"waited in vain for {wanted}")
        time.sleep(0.2)
    return wanted


def text(stream):
    return b"".join(stream).decode().strip()


def pool():
    return models.PoolAddParameter(
        id="python",
        vm_size="shoal.1c1g",
        target_dedicated_nodes=1,
        task_slots_per_node=4,
        virtual_machine_configuration=models.VirtualMachineConfiguration(
            image_reference=models.ImageReference(publisher="canonical", offer="ubuntu", sku="22_04-lts"),
            node_agent_sku_id="batch.node.ubuntu 22.04",
        ),
    )


def job():
    return models.JobAddParameter(id="python-job", pool_info=models.PoolInformation(pool_id="python"))


def tasks():
    return [models.TaskAddParameter(id=f"t{n}", command_line="/bin/sh -c 'echo out'") for n in range(1000)]


def listed():
    options = models.TaskListOptions(filter="startswith(id, 't99')", select="id,state", max_results=5)
    return len(list(client.task.list("python-job", task_list_options=options)))


def schedule():
    return models.JobScheduleAddParameter(
        id="python-schedule",
        schedule=models.Schedule(recurrence_interval=datetime.timedelta(hours=1)),
        job_specification=models.JobSpecification(pool_info=models.PoolInformation(pool_id="python")),
    )


FORMULA = "$TargetDedicatedNodes = 1;"
step("pool.add", lambda: client.pool.add(pool()))
step("a node is idle", lambda: wait_for(["idle"], lambda: [n.state.value for n in client.compute_node.list("python")]))
step("job.add", lambda: client.job.add(job()))
step("task.add_collection, 1,000", lambda: len(client.task.add_collection("python-job", tasks()).value))
step("job.get_task_counts", lambda: wait_for(1000, lambda: client.job.get_task_counts("python-job").task_counts.completed))
step("task.list, with filter and select, in pages", listed)
step("file.list_from_task", lambda: sorted(f.name for f in client.file.list_from_task("python-job", "t0")))
step("file.get_from_task", lambda: text(client.file.get_from_task("python-job", "t0", "stdout.txt")))
step(
    "file.get_from_task, two bytes",
    lambda: text(
        client.file.get_from_task(
            "python-job", "t0", "stdout.txt", file_get_from_task_options=models.FileGetFromTaskOptions(ocp_range="bytes=0-1")
        )
    ),
)
step("job.disable", lambda: client.job.disable("python-job", disable_tasks="requeue"))
step("job is disabled", lambda: wait_for("disabled", lambda: client.job.get("python-job").state.value))
step("job.enable", lambda: client.job.enable("python-job"))
step("job_schedule.add", lambda: client.job_schedule.add(schedule()))
step("job_schedule.delete", lambda: client.job_schedule.delete("python-schedule"))
step("pool.enable_auto_scale", lambda: client.pool.enable_auto_scale("python", auto_scale_formula=FORMULA))
step("pool.evaluate_auto_scale", lambda: client.pool.evaluate_auto_scale("python", FORMULA).results)
step("pool.disable_auto_scale", lambda: client.pool.disable_auto_scale("python"))
step("job.terminate", lambda: client.job.terminate("python-job", terminate_reason="enough"))
step("job is completed", lambda: wait_for("completed", lambda: client.job.get("python-job").state.value))
step("job.delete", lambda: client.job.delete("python-job"))
step("pool.delete", lambda: client.pool.delete("python"))
