/** How the mesh's small objects answer one client alone: what a history of many clients is held against. */
import type { Specification } from './linearizability.ts';

/** A job as something with a priority and a version, which one of several clients has added. */
export interface JobObject {
  readonly there: boolean;
  readonly priority: number;
  /** Undefined: changed by a request whose answer nobody has. */
  readonly version: string | undefined;
}

export type JobCall =
  | { readonly kind: 'add' }
  | { readonly kind: 'get' }
  | { readonly kind: 'delete' }
  | { readonly kind: 'patch'; readonly priority: number; readonly ifMatch: string | undefined };

export type JobAnswer =
  | { readonly kind: 'done'; readonly version: string; readonly priority?: number }
  | { readonly kind: 'exists' | 'missing' | 'conditionNotMet' | 'deleting' };

const ABSENT: JobObject = { there: false, priority: 0, version: undefined };

/** S1, S2, S20: a deleted job does not come back under the same add, and If-Match is honoured. */
export const JOB: Specification<JobObject, JobCall, JobAnswer> = {
  initial: ABSENT,
  step: stepJob,
  nameOf: ({ there, priority, version }) => `${there} ${priority} ${version}`,
};

function stepJob(state: JobObject, call: JobCall, answer: JobAnswer | undefined): readonly JobObject[] {
  if (answer === undefined) return [state, ...effectOf(state, call, undefined)];
  switch (answer.kind) {
    case 'missing':
      return state.there || call.kind === 'add' ? [] : [state];
    case 'exists':
      return state.there && call.kind === 'add' ? [state] : [];
    case 'deleting':
      return state.there ? [] : [state];
    case 'conditionNotMet':
      return call.kind === 'patch' && state.there && !meets(state, call.ifMatch) ? [state] : [];
    case 'done':
      if (call.kind === 'get')
        return state.there && state.priority === answer.priority && state.version === answer.version
          ? [state]
          : [];
      return effectOf(state, call, answer.version);
  }
}

function effectOf(state: JobObject, call: JobCall, version: string | undefined): readonly JobObject[] {
  switch (call.kind) {
    case 'add':
      return state.there ? [] : [{ there: true, priority: 0, version }];
    case 'delete':
      return state.there ? [ABSENT] : [];
    case 'patch':
      return state.there && meets(state, call.ifMatch)
        ? [{ ...state, priority: call.priority, version }]
        : [];
    case 'get':
      return [];
  }
}

function meets({ version }: JobObject, ifMatch: string | undefined): boolean {
  return ifMatch === undefined || ifMatch === version;
}

/** A token of one use: whoever comes first is let in, and nobody after. */
export const TOKEN: Specification<string, { readonly joiner: string }, 'joined' | 'refused'> = {
  initial: '',
  step: (usedBy, { joiner }, answer) => {
    const isFree = usedBy === '' || usedBy === joiner;
    if (answer === undefined) return isFree ? [usedBy, joiner] : [usedBy];
    if (answer === 'joined') return isFree ? [joiner] : [];
    return isFree ? [] : [usedBy];
  },
  nameOf: (usedBy) => usedBy,
};
