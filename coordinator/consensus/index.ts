export { decodeConfiguration } from './configuration.ts';
export type {
  Configuration,
  Entry,
  Message,
  Progress,
  RaftNode,
  RaftState,
  RaftStatus,
  Ready,
  ReplicaId,
  SnapshotMeta,
} from './interface.ts';
export { createRaft } from './raft.ts';
