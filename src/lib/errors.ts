/**
 * Every error that leaves a module is a `ShoalError` with a code of this one table. The codes of Azure Batch keep
 * its spelling and HTTP status (page "Batch status and error codes"); ours are marked. docs/errors.md is made of it.
 */
interface ErrorRow {
  /** HTTP status of the API's answer. */
  readonly status: number;
  /** What happened, when the thrower says nothing better. */
  readonly message: string;
  /** True where the same request can succeed later without a change. */
  readonly retryable?: true;
  /** What to do about it. */
  readonly hint?: string;
}

export const ERRORS = {
  // 400: the request is wrong
  InvalidRequestBody: { status: 400, message: 'The request body is not valid.' },
  InvalidPropertyValue: {
    status: 400,
    message: 'The value provided for one of the properties in the request body is invalid.',
  },
  MissingRequiredProperty: {
    status: 400,
    message: 'A required property was not specified in the request body.',
  },
  UnsupportedProperty: {
    status: 400,
    message: 'One of the properties specified in the request body is not supported.',
  },
  /** Ours: Azure Batch knows the operation, this mesh does not yet. */
  OperationNotSupported: { status: 400, message: 'The operation is not supported by this mesh yet.' },
  UnsupportedQueryParameter: {
    status: 400,
    message: 'One of the query parameters specified in the request URI is not supported.',
  },
  InvalidQueryParameterValue: { status: 400, message: 'A query parameter has an invalid value.' },
  MissingRequiredQueryParameter: { status: 400, message: 'A required query parameter was not specified.' },
  OutOfRangeQueryParameterValue: {
    status: 400,
    message: 'A query parameter is outside its permissible range.',
  },
  UnsupportedRequestVersion: { status: 400, message: 'The api-version is not supported.' },
  InvalidHeaderValue: {
    status: 400,
    message: 'The value provided for one of the HTTP headers was not in the correct format.',
  },
  MissingRequiredHeader: { status: 400, message: 'A required HTTP header was not specified.' },
  InvalidUri: { status: 400, message: 'The requested URI does not represent any resource on the server.' },
  OutOfRangeInput: { status: 400, message: 'One of the request inputs is out of range.' },
  InvalidAuthenticationInfo: {
    status: 400,
    message: 'The authentication information was not provided in the correct format.',
  },
  MultipleConditionHeadersNotSupported: {
    status: 400,
    message: 'Multiple condition headers are not supported.',
  },
  TaskDependenciesNotSpecifiedOnJob: {
    status: 400,
    message: 'The task has dependencies but its job does not use task dependencies.',
    hint: 'Set usesTaskDependencies to true when the job is created.',
  },
  InvalidAutoScalingSettings: {
    status: 400,
    message: 'The settings of automatic scaling contradict each other or the rest of the pool.',
  },
  AutoScalingFormulaSyntaxError: {
    status: 400,
    message: 'The formula of automatic scaling has a syntax error.',
    hint: '`shoal pool explain-autoscale` shows what a formula does with a pool; the language is in docs/autoscale.md.',
  },
  AutoScalingFormulaTooLong: {
    status: 400,
    message: 'The formula of automatic scaling is longer than 8 KB.',
  },
  TaskDependencyListTooLong: { status: 400, message: 'The task depends on too many task ids.' },
  TaskDependencyRangesTooLong: { status: 400, message: 'The task depends on too many id ranges.' },
  /** Ours: Azure accepts such a task and leaves it active for ever. */
  TaskCanNeverRun: { status: 400, message: 'No node of the pool, now or later, can run this task.' },
  /** Ours: a command line argument or configuration key. */
  InvalidArgument: { status: 400, message: 'An argument is not valid.' },
  InvalidToken: {
    status: 400,
    message: 'The join token is not valid.',
    hint: 'Make a new one with `shoal token create` on a member of the mesh.',
  },

  // 401/403: who asks
  AuthenticationFailed: { status: 403, message: 'Server failed to authenticate the request.' },
  InsufficientAccountPermissions: {
    status: 403,
    message: 'The token does not allow this.',
    hint: 'A token of one job reaches that job alone, and no token reaches the keys of the mesh.',
  },
  Forbidden: { status: 403, message: 'The caller may not do this.' },
  /** Ours: a peer that is not on the allow-list, or a sender name that is not the connection's peer. */
  NotAMember: { status: 403, message: 'The peer is not a member of this mesh.' },

  // 404
  PoolNotFound: { status: 404, message: 'The specified pool does not exist.' },
  NodeNotFound: { status: 404, message: 'The specified node does not exist.' },
  JobNotFound: { status: 404, message: 'The specified job does not exist.' },
  JobScheduleNotFound: { status: 404, message: 'The specified job schedule does not exist.' },
  ApplicationNotFound: { status: 404, message: 'The specified application or version does not exist.' },
  TaskNotFound: { status: 404, message: 'The specified task does not exist.' },
  NodeExtensionNotFound: { status: 404, message: 'The specified extension is not on the node.' },
  FileNotFound: { status: 404, message: 'The specified file does not exist.' },
  ResourceNotFound: { status: 404, message: 'The specified resource does not exist.' },
  MachineNotFound: { status: 404, message: 'No machine of the mesh has this name or id.' },
  TokenNotFound: { status: 404, message: 'No open join token has this id.' },
  ContainerNotFound: { status: 404, message: 'The specified container does not exist.' },
  BlobNotFound: { status: 404, message: 'The specified blob does not exist.' },
  GroupNotFound: { status: 404, message: 'This machine holds no replica of the group.' },
  UnsupportedHttpVerb: { status: 405, message: 'The resource does not support the specified HTTP verb.' },

  // 409: not in this state
  OperationInvalidForCurrentState: {
    status: 409,
    message: 'The operation is not valid for the current state of the resource.',
  },
  PoolExists: { status: 409, message: 'The specified pool already exists.' },
  JobExists: { status: 409, message: 'The specified job already exists.' },
  TaskExists: { status: 409, message: 'The specified task already exists.' },
  ContainerExists: { status: 409, message: 'The specified container already exists.' },
  PoolBeingDeleted: { status: 409, message: 'The specified pool is being deleted.' },
  PoolBeingResized: { status: 409, message: 'The specified pool is being resized.' },
  JobBeingTerminated: { status: 409, message: 'The specified job is being terminated.' },
  JobBeingDeleted: { status: 409, message: 'The specified job is being deleted.' },
  JobDisabled: { status: 409, message: 'The specified job is disabled.' },
  JobCompleted: { status: 409, message: 'The specified job is already completed.' },
  JobNotActive: { status: 409, message: 'The specified job is not active.' },
  TaskCompleted: { status: 409, message: 'The specified task is already completed.' },
  TaskNotCompleted: { status: 409, message: 'The specified task has not completed.' },
  TaskSucceeded: {
    status: 409,
    message: 'The specified task completed with success and cannot be reactivated.',
  },
  TaskFilesUnavailable: {
    status: 409,
    message: 'The task has not run on a node, or the node that ran it is gone and its files were not kept.',
  },
  TaskFilesCleanedup: {
    status: 409,
    message: 'The files of the task were removed at the end of its retention time.',
  },
  NodeNotReady: { status: 409, message: 'The node is not ready for this operation.', retryable: true },
  NodeAlreadyInTargetSchedulingState: {
    status: 409,
    message: 'The node is already in the requested scheduling state.',
  },
  JobPreparationTaskOrReleaseTaskNotSpecified: {
    status: 409,
    message: 'The job has no job preparation or job release task.',
  },
  JobScheduleExists: { status: 409, message: 'The specified job schedule already exists.' },
  JobWithSameIdExists: {
    status: 409,
    message: 'A job with the same id exists: jobs and schedules share their ids.',
  },
  JobScheduleWithSameIdExists: {
    status: 409,
    message: 'A job schedule with the same id exists: jobs and schedules share their ids.',
  },
  JobScheduleCompleted: { status: 409, message: 'The job schedule is completed.' },
  JobScheduleBeingTerminated: { status: 409, message: 'The job schedule is being terminated.' },
  JobScheduleBeingDeleted: { status: 409, message: 'The job schedule is being deleted.' },
  ActiveJobAndScheduleQuotaReached: {
    status: 409,
    message: 'There are as many jobs or job schedules as there may be.',
  },
  TaskIdSameAsJobPreparationTask: {
    status: 409,
    message: 'The id of the task is that of the job preparation task of its job.',
  },
  TaskIdSameAsJobReleaseTask: {
    status: 409,
    message: 'The id of the task is that of the job release task of its job.',
  },
  MachineExists: {
    status: 409,
    message: 'A machine with this name is already a member.',
    hint: 'Give another name with --name.',
  },
  AlreadyInitialized: { status: 409, message: 'This data directory already belongs to a mesh.' },
  NotInitialized: {
    status: 409,
    message: 'This machine belongs to no mesh yet.',
    hint: 'Run `shoal init` for a new mesh, or `shoal join TOKEN` to enter one.',
  },
  IdentityInUse: {
    status: 409,
    message: 'Another machine speaks under the identity of this one.',
    hint: 'Was its disk or data directory copied? Start the original alone. Give the copy an empty --data and a token of its own: shoal join.',
  },
  AgentRunning: { status: 409, message: 'Another agent already uses this data directory.' },
  AddressUnavailable: {
    status: 409,
    message: 'An address to listen on cannot be had.',
    hint: 'See who listens there (`ss -ltnp`), or choose another with `shoal agent --listen`.',
  },
  InvalidApplicationPackageReferences: {
    status: 409,
    message: 'One of the application packages that are referred to does not exist.',
    hint: 'See `shoal app list`; a reference without a version needs a default version (`shoal app default`).',
  },
  /** Ours: Azure's limits of an account. */
  ApplicationQuotaReached: {
    status: 409,
    message: 'There are as many applications or versions of one as there may be.',
    hint: 'Delete versions that nobody needs with `shoal app rm`.',
  },
  OperationNotValidOnNode: { status: 409, message: 'The operation is not possible on this node.' },
  QuorumAlive: { status: 409, message: 'The group still has a quorum and needs no recovery.' },

  // 4xx: size and conditions
  ConditionNotMet: { status: 412, message: 'The condition specified in the conditional header was not met.' },
  RequestBodyTooLarge: { status: 413, message: 'The request body is too large.' },
  TooLarge: { status: 413, message: 'The message or value exceeds its size limit.' },
  InvalidRange: { status: 416, message: 'The specified range is invalid for the resource.' },

  // 5xx and busy: try again
  TooManyRequests: { status: 429, message: 'Too many requests are waiting.', retryable: true },
  InternalError: { status: 500, message: 'The server encountered an internal error.' },
  CorruptStore: {
    status: 500,
    message: 'A stored record fails its checksum.',
    hint: 'Move the directory private/store of the agent aside and start the agent again: it comes back under its name as a new machine, and gets what it needs from the others. Where no majority of a group is left: shoal recover.',
  },
  OperationTimedOut: {
    status: 500,
    message: 'The operation could not be completed within the permitted time.',
    retryable: true,
  },
  /** Ours: a method between agents, not an HTTP verb. */
  UnknownMethod: {
    status: 501,
    message: 'The peer does not know this method.',
    hint: 'Its agent may be of another version; update it.',
  },
  ServerBusy: { status: 503, message: 'The mesh cannot take this request now.', retryable: true },
  /** Final for our own client: the same request has the same answer. */
  TooManyEnableAutoScaleRequests: {
    status: 503,
    message: 'Automatic scaling was enabled on this pool less than 30 s ago.',
    hint: 'Wait half a minute and try again.',
  },
  NotLeader: { status: 503, message: 'This machine does not lead the group.', retryable: true },
  NoQuorum: {
    status: 503,
    message: 'A majority of the voters of the group cannot be reached.',
    retryable: true,
    hint: 'Start the machines that vote in the group; if they are gone for good, see `shoal recover`.',
  },
  PeerUnreachable: { status: 503, message: 'The peer cannot be reached.', retryable: true },
  AgentUnreachable: {
    status: 503,
    message: 'No agent answers on this machine.',
    hint: 'Start one with `shoal agent`, or name another with --endpoint.',
  },
  /** Azure's code of a node that cannot take a task; here of a machine without a container engine. */
  TaskSchedulingConstraintFailed: { status: 500, message: 'The task cannot run on this node.' },
  /** Ours. */
  ContainerImagePullFailed: { status: 500, message: 'The container image could not be fetched.' },
  DiskFull: { status: 507, message: 'The disk is full.' },
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof ERRORS;

/** Key-value detail of an error, as Azure Batch's `values` list. */
export type ErrorValues = Readonly<Record<string, string>>;

export class ShoalError extends Error {
  override readonly name = 'ShoalError';
  readonly code: ErrorCode;
  readonly values: ErrorValues;

  constructor(code: ErrorCode, message?: string, values: ErrorValues = {}, options?: ErrorOptions) {
    super(message ?? ERRORS[code].message, options);
    this.code = code;
    this.values = values;
  }

  get status(): number {
    return ERRORS[this.code].status;
  }

  get retryable(): boolean {
    return (ERRORS[this.code] as ErrorRow).retryable === true;
  }

  get hint(): string | undefined {
    return (ERRORS[this.code] as ErrorRow).hint;
  }
}

export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERRORS, text);
}

/** Any thrown value as a `ShoalError`; what is not ours becomes `InternalError` with the cause kept. */
export function asShoalError(thrown: unknown): ShoalError {
  if (thrown instanceof ShoalError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new ShoalError('InternalError', message, {}, { cause: thrown });
}
