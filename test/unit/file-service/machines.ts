/** Machines with real file services and real disks, over a network in memory and one copy of the mesh group's state. */
import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { onTestFinished } from 'vitest';
import { localFileDisk } from '../../../agent/files/file-disk.ts';
import { createFileService, type LocalFileService } from '../../../agent/files/service.ts';
import type { FileCoordinator } from '../../../agent/files/surroundings.ts';
import { type Clock, systemClock } from '../../../src/lib/clock.ts';
import { ShoalError } from '../../../src/lib/errors.ts';
import { silentLog } from '../../../src/lib/log.ts';
import type { BulkTransport, Transport } from '../../../src/mesh/interface.ts';
import type { Command, MeshCommand } from '../../../src/model/commands.ts';
import { MESH_GROUP, peerOfMachine } from '../../../src/model/ids.ts';
import type { MeshQueries, TaskEntity } from '../../../src/model/queries.ts';
import { diskThreadScript } from '../files/disk-thread-script.ts';
import { temporaryDirectory } from '../files/temporary-directory.ts';
import { idOf, MeshWorld } from '../mesh-core/world.ts';
import { MemoryNetwork, type MemoryPeer } from './memory-network.ts';

export interface TestMachine {
  readonly id: string;
  readonly peer: string;
  readonly files: LocalFileService;
  readonly network: MemoryPeer;
  readonly coordinator: FileCoordinator;
  readonly chunks: string;
  readonly nodes: string;
}

export interface TestMesh {
  readonly world: MeshWorld;
  readonly network: MemoryNetwork;
  readonly machines: readonly TestMachine[];
  /** Who leads the mesh group. */
  leader: string;
  /** Tasks by `job/task`, as the pool's group would tell of them. */
  readonly tasks: Map<string, TaskEntity>;
  start(name: string, chunks?: string): Promise<TestMachine>;
}

export interface TestMeshOptions {
  readonly chunkBytes?: number;
  readonly clock?: Clock;
  /** Instead of the network in memory. */
  readonly networkOf?: (name: string) => Transport & BulkTransport;
}

export async function testMesh(names: readonly string[], options: TestMeshOptions = {}): Promise<TestMesh> {
  const world = new MeshWorld().init(...names);
  const network = new MemoryNetwork();
  const machines: TestMachine[] = [];
  const mesh: TestMesh = {
    world,
    network,
    machines,
    leader: names[0] ?? '',
    tasks: new Map(),
    start: (name, chunks) => startMachine(mesh, name, options, chunks),
  };
  for (const name of names) machines.push(await mesh.start(name));
  return mesh;
}

async function startMachine(
  mesh: TestMesh,
  name: string,
  options: TestMeshOptions,
  chunksBefore: string | undefined,
): Promise<TestMachine> {
  const id = idOf(name);
  const network = mesh.network.join(peerOfMachine(id));
  const root = await temporaryDirectory();
  const chunks = chunksBefore ?? join(root, 'chunks');
  const nodes = join(root, 'nodes');
  await mkdir(nodes, { recursive: true });
  const coordinator = coordinatorOf(mesh, name);
  const files = createFileService({
    self: id,
    disk: localFileDisk({
      directory: chunks,
      diskThreadScript: await diskThreadScript(),
      clock: options.clock ?? systemClock,
    }),
    nodesDirectory: nodes,
    transport: options.networkOf?.(name) ?? network,
    bulk: options.networkOf?.(name) ?? network,
    coordinator,
    clock: options.clock ?? systemClock,
    log: silentLog,
    chunkBytes: options.chunkBytes ?? 16 * 1024,
  });
  await files.start();
  onTestFinished(() => files.stop());
  return { id, peer: network.self, files, network, coordinator, chunks, nodes };
}

function coordinatorOf(mesh: TestMesh, name: string): FileCoordinator {
  const self = idOf(name);
  return {
    get mesh() {
      return mesh.world.machine;
    },
    router: {
      propose: async (_group, command: Command) => mesh.world.run(command as MeshCommand) as never,
      query: async (group, query, argument) => {
        if (group === MESH_GROUP) {
          return mesh.world.query(query as keyof MeshQueries, argument as never) as never;
        }
        const { job, task } = argument as { job: string; task: string };
        const entity = mesh.tasks.get(`${job}/${task}`);
        if (entity === undefined) throw new ShoalError('TaskNotFound');
        return entity as never;
      },
    },
    presence: {
      isAlive: (machine) => machine === self || mesh.network.peer(peerOfMachine(machine)) !== undefined,
    },
    leads: (group) => group === MESH_GROUP && mesh.leader === name,
    requireMember: (peer) => {
      if (mesh.world.machine.machineByPeer(peer) === undefined) throw new ShoalError('NotAMember');
    },
  };
}

export function stream(bytes: Uint8Array): Readable {
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes.length; at += 100_000) yield bytes.subarray(at, at + 100_000);
  }
  return Readable.from(pieces(), { objectMode: false });
}

export const noise = (bytes: number): Buffer => randomBytes(bytes);

/** Waits for a condition, at most `boundMs`. */
export async function until(holds: () => boolean | Promise<boolean>, boundMs = 30_000): Promise<void> {
  const deadline = performance.now() + boundMs;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`not within ${boundMs} ms: ${holds.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A clock that runs `speed` times as fast as the system's. */
export function fastClock(speed: number): Clock {
  return {
    wallMs: () => systemClock.wallMs(),
    monotonicMs: () => systemClock.monotonicMs() * speed,
    after: (delayMs, fire) => systemClock.after(delayMs / speed, fire),
    soon: systemClock.soon,
  };
}
