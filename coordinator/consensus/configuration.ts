import { Packr } from 'msgpackr';
import { assertNever } from '../../src/lib/assert.ts';
import type { Configuration, ConfigurationChange, ReplicaId } from './interface.ts';

/** Plain maps and arrays: an entry must decode without a record table that lives in one process. */
const packr = new Packr({ useRecords: false });

/** The data of a `configuration` entry. */
export function encodeConfiguration(configuration: Configuration): Uint8Array {
  return packr.pack({ voters: configuration.voters, learners: configuration.learners });
}

/** Undefined where the bytes are not a configuration that a group could have. Never throws. */
export function decodeConfiguration(data: Uint8Array): Configuration | undefined {
  let value: unknown;
  try {
    value = packr.unpack(data);
  } catch {
    return undefined;
  }
  return isConfiguration(value) ? { voters: [...value.voters], learners: [...value.learners] } : undefined;
}

/** At least one voter, and nobody twice. */
export function isConfiguration(value: unknown): value is Configuration {
  if (typeof value !== 'object' || value === null) return false;
  const { voters, learners } = value as { voters?: unknown; learners?: unknown };
  if (!isIdList(voters) || !isIdList(learners) || voters.length === 0) return false;
  return new Set([...voters, ...learners]).size === voters.length + learners.length;
}

function isIdList(value: unknown): value is ReplicaId[] {
  return Array.isArray(value) && value.every((id) => typeof id === 'string' && id !== '');
}

export function isVoter(configuration: Configuration, id: ReplicaId): boolean {
  return configuration.voters.includes(id);
}

export function isMember(configuration: Configuration, id: ReplicaId): boolean {
  return configuration.voters.includes(id) || configuration.learners.includes(id);
}

export function isSoleVoter(configuration: Configuration, id: ReplicaId): boolean {
  return configuration.voters.length === 1 && configuration.voters[0] === id;
}

/**
 * The configuration after one change, or undefined where the change makes no sense. The voter sets before and
 * after differ by at most one, so any two majorities of them share a member and both may decide at the same
 * time without disagreeing (thesis 4.1).
 */
export function changeConfiguration(
  { voters, learners }: Configuration,
  change: ConfigurationChange,
): Configuration | undefined {
  if (change.kind === 'addLearners') return withLearners({ voters, learners }, change.ids);
  const { kind, id } = change;
  const votes = voters.includes(id);
  const learns = learners.includes(id);
  switch (kind) {
    case 'addLearner':
      return id === '' || votes || learns ? undefined : { voters, learners: [...learners, id] };
    case 'promote':
      return learns
        ? { voters: [...voters, id], learners: learners.filter((other) => other !== id) }
        : undefined;
    case 'remove':
      if (learns) return { voters, learners: learners.filter((other) => other !== id) };
      // A group without voters could never decide anything again.
      return votes && voters.length > 1
        ? { voters: voters.filter((other) => other !== id), learners }
        : undefined;
    default:
      return assertNever(kind);
  }
}

/** Undefined where one of them is a member already, or named twice. */
function withLearners(
  { voters, learners }: Configuration,
  ids: readonly ReplicaId[],
): Configuration | undefined {
  const changed = { voters, learners: [...learners, ...ids] };
  return ids.length > 0 && isConfiguration(changed) ? changed : undefined;
}

/** Voters that make a majority. */
export function quorumSize(configuration: Configuration): number {
  return Math.floor(configuration.voters.length / 2) + 1;
}

/** The greatest value that a majority of the voters has reached; learners are not asked. 0 without voters. */
export function quorumValue(configuration: Configuration, reached: (voter: ReplicaId) => number): number {
  const descending = configuration.voters.map(reached).sort((a, b) => b - a);
  return descending[quorumSize(configuration) - 1] ?? 0;
}
