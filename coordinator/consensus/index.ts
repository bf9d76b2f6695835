export { decodeConfiguration, encodeConfiguration } from './configuration.ts';
export type {
  Configuration,
  ConfigurationChange,
  Entry,
  HardState,
  Message,
  Progress,
  ProposeResult,
  RaftNode,
  RaftOptions,
  RaftState,
  RaftStatus,
  ReadState,
  Ready,
  ReplicaId,
  SnapshotMeta,
} from './interface.ts';
export { createRaft } from './raft.ts';
