import {
  accessSync,
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  write,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { isCode } from '../../src/lib/system-error.ts';

/**
 * Control groups (v2) that are killed whole with one write: even a fork bomb cannot outrun that. They are
 * used again and again, for a mkdir per task costs more than the task. Only the `cgroup.kill` file is needed,
 * no controller.
 *
 * A process is moved into its cgroup at the first tick of its life and not at its start, because the kernel
 * waits for an RCU grace period (11 ms measured) on a move that follows no other; short tasks never pay for
 * it. For the same reason the move is made off the loop.
 */
export class CgroupBoxes {
  readonly #directory: string;
  readonly #free: CgroupBox[] = [];
  #made = 0;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  /**
   * Kills what a former runner of this identity left in its cgroups, and opens them for a new one. Undefined
   * where the machine has no cgroup v2, none that we may write, or a kernel before 5.14 (no `cgroup.kill`).
   */
  static open(identity: string): CgroupBoxes | undefined {
    const own = ownCgroup();
    if (own === undefined) return undefined;
    const directory = join(own, `shoal-${identity}`);
    try {
      // A move needs write access to the nearest common ancestor as well.
      accessSync(join(own, 'cgroup.procs'), constants.W_OK);
      mkdirSync(directory, { recursive: true });
      writeFileSync(join(directory, 'cgroup.kill'), '1');
      return new CgroupBoxes(directory);
    } catch {
      return undefined;
    }
  }

  /** An empty box, or undefined if none can be made. */
  take(): CgroupBox | undefined {
    for (let index = 0; index < this.#free.length; index += 1) {
      const box = this.#free[index];
      if (box === undefined || box.isPopulated()) continue;
      this.#free.splice(index, 1);
      return box;
    }
    try {
      return new CgroupBox(join(this.#directory, String(this.#made++)));
    } catch {
      return undefined;
    }
  }

  /** Kills what is still in the box, and keeps it for later. */
  giveBack(box: CgroupBox): void {
    box.killAll();
    this.#free.push(box);
  }

  /** Gives up the boxes; to be called when nothing runs in them. */
  close(): void {
    for (const box of this.#free) box.close();
    this.#free.length = 0;
  }
}

/**
 * Kills what is in the cgroups of a runner that is no more, and removes them as they empty.
 *
 * @returns false as long as a process in them dies.
 */
export function clearCgroups(identity: string): boolean {
  const own = ownCgroup();
  if (own === undefined) return true;
  const directory = join(own, `shoal-${identity}`);
  try {
    writeFileSync(join(directory, 'cgroup.kill'), '1');
    for (const name of readdirSync(directory)) {
      if (/^\d+$/.test(name)) rmdirSync(join(directory, name));
    }
    rmdirSync(directory);
    return true;
  } catch (error) {
    // Otherwise: not there, or not ours.
    return !isCode(error, 'EBUSY');
  }
}

export class CgroupBox {
  readonly #directory: string;
  readonly #procs: number;

  constructor(directory: string) {
    mkdirSync(directory, { recursive: true });
    this.#directory = directory;
    this.#procs = openSync(join(directory, 'cgroup.procs'), 'w');
  }

  /** Moves a process here, in the background. One that has ended meanwhile is no error. */
  add(pid: number): void {
    write(this.#procs, String(pid), () => {});
  }

  killAll(): void {
    try {
      const fd = openSync(join(this.#directory, 'cgroup.kill'), 'w');
      try {
        writeSync(fd, '1');
      } finally {
        closeSync(fd);
      }
    } catch {
      // The sweep by /proc finds what this missed.
    }
  }

  close(): void {
    closeSync(this.#procs);
  }

  isPopulated(): boolean {
    try {
      return readFileSync(join(this.#directory, 'cgroup.events'), 'latin1').includes('populated 1');
    } catch {
      return true;
    }
  }
}

/** The directory of the cgroup v2 that this process is in. */
function ownCgroup(): string | undefined {
  try {
    const mount = /^\S+ (\S+) cgroup2 /m.exec(readFileSync('/proc/self/mounts', 'latin1'))?.[1];
    const path = /^0::(\/.*)$/m.exec(readFileSync('/proc/self/cgroup', 'latin1'))?.[1];
    return mount === undefined || path === undefined ? undefined : join(mount, path);
  } catch {
    return undefined;
  }
}
