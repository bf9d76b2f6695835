/**
 * What the agents of a chaos run stand on. Where namespaces can be made, each has a host and a small disk of its own, so
 * that wires can be cut and disks filled; elsewhere all share this machine and only processes can be hurt.
 */
import { spawnSync } from 'node:child_process';
import { mkdir, open, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { LocalMeshOptions } from '../local-mesh/local-mesh.ts';
import { Lan } from '../netns/lan.ts';

/** Twice what an agent wants free before it comes back, and room for what it keeps. */
const DISK_MIB = 256;
const BALLAST = 'ballast';
const BALLAST_WRITE_BYTES = 1024 * 1024;

export class Ground {
  /** For `LocalMesh.start`. */
  readonly options: Pick<LocalMeshOptions, 'directory' | 'listen' | 'mdns' | 'prefix'>;
  readonly #directory: string;
  readonly #lan: Lan | undefined;
  readonly #disks: string[] = [];

  private constructor(directory: string, lan: Lan | undefined) {
    this.#directory = directory;
    this.#lan = lan;
    this.options =
      lan === undefined
        ? { directory }
        : {
            directory,
            mdns: true,
            listen: () => '/ip4/0.0.0.0/tcp/7411',
            prefix: (host) => lan.prefix(host),
          };
  }

  /** Processes of this machine, with its network and its disk. */
  static shared(directory: string): Ground {
    return new Ground(directory, undefined);
  }

  /** Needs root and iproute2; throws where they are missing, and leaves nothing behind. */
  static async apart(directory: string, hosts: number): Promise<Ground> {
    const ground = new Ground(directory, Lan.create(hosts));
    try {
      for (let host = 0; host < hosts; host += 1) await ground.#mount(ground.#diskOf(host));
      return ground;
    } catch (error) {
      ground.remove();
      throw error;
    }
  }

  get lan(): Lan | undefined {
    return this.#lan;
  }

  /** Writes until not a byte more fits. */
  async fillDisk(host: number): Promise<void> {
    const ballast = await open(join(this.#diskOf(host), BALLAST), 'w');
    const block = Buffer.alloc(BALLAST_WRITE_BYTES, 1);
    try {
      for (;;) await ballast.appendFile(block);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    } finally {
      await ballast.close();
    }
  }

  async clearDisk(host: number): Promise<void> {
    await rm(join(this.#diskOf(host), BALLAST), { force: true });
  }

  async freeBytes(host: number): Promise<number> {
    const { bavail, bsize } = await statfs(this.#diskOf(host));
    return bavail * bsize;
  }

  /** After the agents have ended. */
  remove(): void {
    this.#lan?.remove();
    for (const disk of this.#disks.splice(0)) spawnSync('umount', ['--lazy', disk]);
  }

  /** The directory that `LocalMesh` gives the agent. */
  #diskOf(host: number): string {
    return join(this.#directory, `machine-${host + 1}`);
  }

  async #mount(disk: string): Promise<void> {
    await mkdir(disk, { recursive: true });
    const options = `size=${DISK_MIB}m,mode=0711`;
    const { status, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'shoal-chaos', disk], {
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(`no disk of its own for ${disk}: ${stderr.trim()}`);
    this.#disks.push(disk);
  }
}
