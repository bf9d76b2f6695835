import type { CommandKind } from '../../../src/model/commands.ts';

/**
 * Since which version the recorded logs in test/fixtures/logs hold each kind of command. A new kind is entered with
 * null until a log with it is recorded: add it to every-command.ts, run
 * `UPDATE_FIXTURES=1 npx vitest run --project modules test/unit/replay`, and enter the version. A kind that no version
 * proposes any more stays here, and stays understood, as long as a log with it is kept.
 */
export const RECORDED_SINCE: Readonly<Record<CommandKind, string | null>> = {
  'mesh.init': '0.1.0',
  'token.create': '0.1.0',
  'token.revoke': '0.1.0',
  'machine.join': '0.1.0',
  'machine.update': '0.1.0',
  'machine.drain': '0.1.0',
  'machine.remove': '0.1.0',
  'group.voters': '0.1.0',
  'pool.add': '0.1.0',
  'pool.patch': '0.1.0',
  'pool.resize': '0.1.0',
  'pool.stopResize': '0.1.0',
  'pool.removeNodes': '0.1.0',
  'pool.delete': '0.1.0',
  'pool.erase': '0.1.0',
  allot: '0.1.0',
  'node.released': '0.1.0',
  'job.reserve': '0.1.0',
  'job.release': '0.1.0',
  'container.create': '0.1.0',
  'container.delete': '0.1.0',
  'blob.put': '0.1.0',
  'blob.delete': '0.1.0',
  'blob.holders': '0.1.0',
  'mesh.sweep': '0.1.0',
  mirror: '0.1.0',
  'job.add': '0.1.0',
  'job.patch': '0.1.0',
  'job.update': '0.1.0',
  'job.disable': '0.1.0',
  'job.enable': '0.1.0',
  'job.terminate': '0.1.0',
  'job.delete': '0.1.0',
  'task.add': '0.1.0',
  'task.update': '0.1.0',
  'task.terminate': '0.1.0',
  'task.delete': '0.1.0',
  'task.reactivate': '0.1.0',
  assign: '0.1.0',
  report: '0.1.0',
  'node.lost': '0.1.0',
  'node.heard': '0.1.0',
  'node.scheduling': '0.1.0',
  sweep: '0.1.0',
};
