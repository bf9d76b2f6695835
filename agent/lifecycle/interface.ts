/** The life of one execution on its node, outside the process itself: what happens before launch and after exit. */
import type { StoredTaskSpec } from '../../src/model/node-task.ts';
import type { TaskOutcome } from '../../src/model/task.ts';
import type { DispatchJob } from '../../src/wire/protocol.ts';
import type { Exit, Launch } from '../runner/interface.ts';

/** One execution as it was dispatched; kept in the machine's own rows until its outcome is acknowledged. */
export interface Assigned {
  readonly pool: string;
  readonly node: string;
  readonly job: DispatchJob;
  /** The task's number in its job. */
  readonly task: number;
  readonly epoch: number;
  readonly spec: StoredTaskSpec;
}

export type Prepared =
  | { readonly ok: true; readonly launch: Launch }
  /** It cannot be launched: this is its end. */
  | { readonly ok: false; readonly outcome: TaskOutcome };

export interface Lifecycle {
  /** Directory, inputs, environment. Aborted when the execution is stopped meanwhile. Never rejects but by abort. */
  prepare(assigned: Assigned, signal: AbortSignal): Promise<Prepared>;
  /**
   * Of a subtask that was launched: resolves to true once its coordination command has succeeded, and to false when the
   * signal is aborted before that.
   */
  coordinated(assigned: Assigned, signal: AbortSignal): Promise<boolean>;
  /** Outputs and logs to where they outlive the node. Never rejects: a failed upload is the outcome `fileUploadError`. */
  finish(assigned: Assigned, exit: Exit): Promise<TaskOutcome>;
  /** The outcome was refused as stale, or the execution dropped: what it published gives way, its directory goes. */
  discard(assigned: Assigned): Promise<void>;
}
