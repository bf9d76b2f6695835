"""A ring and an allreduce over all ranks; rank 0 prints what came of them, and on which nodes and hosts the ranks were."""
import json
import os

from mpi4py import MPI

world = MPI.COMM_WORLD
rank, size = world.Get_rank(), world.Get_size()
node = os.environ["AZ_BATCH_NODE_ID"]

# Each rank adds itself to what the last one sent, and rank 0 gets it back.
if rank == 0:
    world.send([(rank, node)], dest=1 % size)
    ring = world.recv(source=size - 1)
else:
    ring = world.recv(source=rank - 1)
    world.send(ring + [(rank, node)], dest=(rank + 1) % size)

total = world.allreduce((rank + 1) ** 2, op=MPI.SUM)
with open(os.path.join(os.environ["AZ_BATCH_TASK_SHARED_DIR"], "common.txt"), encoding="utf-8") as common:
    texts = world.gather(common.read())
if rank == 0:
    print(json.dumps({"size": size, "ring": ring, "total": total, "texts": texts}))
