/** What the routes share. */
import type { Clock } from '../lib/clock.ts';
import type { Control } from '../model/control.ts';
import type { JobDirectory } from './job-directory.ts';
import type { MachineAddresses } from './machine-addresses.ts';

export interface ApiContext {
  readonly control: Control;
  readonly clock: Clock;
  readonly jobs: JobDirectory;
  readonly addresses: MachineAddresses;
}
