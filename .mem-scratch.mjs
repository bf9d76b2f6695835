// src/lib/errors.ts
var ERRORS = {
  // 400: the request is wrong
  InvalidRequestBody: { status: 400, message: "The request body is not valid." },
  InvalidPropertyValue: { status: 400, message: "The value provided for one of the properties in the request body is invalid." },
  MissingRequiredProperty: { status: 400, message: "A required property was not specified in the request body." },
  UnsupportedProperty: { status: 400, message: "One of the properties specified in the request body is not supported." },
  /** Ours: Azure Batch knows the operation, this mesh does not yet. */
  OperationNotSupported: { status: 400, message: "The operation is not supported by this mesh yet." },
  UnsupportedQueryParameter: { status: 400, message: "One of the query parameters specified in the request URI is not supported." },
  InvalidQueryParameterValue: { status: 400, message: "A query parameter has an invalid value." },
  MissingRequiredQueryParameter: { status: 400, message: "A required query parameter was not specified." },
  OutOfRangeQueryParameterValue: { status: 400, message: "A query parameter is outside its permissible range." },
  UnsupportedRequestVersion: { status: 400, message: "The api-version is not supported." },
  InvalidHeaderValue: { status: 400, message: "The value provided for one of the HTTP headers was not in the correct format." },
  MissingRequiredHeader: { status: 400, message: "A required HTTP header was not specified." },
  InvalidUri: { status: 400, message: "The requested URI does not represent any resource on the server." },
  OutOfRangeInput: { status: 400, message: "One of the request inputs is out of range." },
  InvalidAuthenticationInfo: { status: 400, message: "The authentication information was not provided in the correct format." },
  MultipleConditionHeadersNotSupported: { status: 400, message: "Multiple condition headers are not supported." },
  TaskDependenciesNotSpecifiedOnJob: {
    status: 400,
    message: "The task has dependencies but its job does not use task dependencies.",
    hint: "Set usesTaskDependencies to true when the job is created."
  },
  TaskDependencyListTooLong: { status: 400, message: "The task depends on too many task ids." },
  TaskDependencyRangesTooLong: { status: 400, message: "The task depends on too many id ranges." },
  /** Ours: Azure accepts such a task and leaves it active for ever. */
  TaskCanNeverRun: { status: 400, message: "No node of the pool, now or later, can run this task." },
  /** Ours: a command line argument or configuration key. */
  InvalidArgument: { status: 400, message: "An argument is not valid." },
  InvalidToken: {
    status: 400,
    message: "The join token is not valid.",
    hint: "Make a new one with `shoal token create` on a member of the mesh."
  },
  // 401/403: who asks
  AuthenticationFailed: { status: 403, message: "Server failed to authenticate the request." },
  Forbidden: { status: 403, message: "The caller may not do this." },
  /** Ours: a peer that is not on the allow-list, or a sender name that is not the connection's peer. */
  NotAMember: { status: 403, message: "The peer is not a member of this mesh." },
  // 404
  PoolNotFound: { status: 404, message: "The specified pool does not exist." },
  NodeNotFound: { status: 404, message: "The specified node does not exist." },
  JobNotFound: { status: 404, message: "The specified job does not exist." },
  TaskNotFound: { status: 404, message: "The specified task does not exist." },
  FileNotFound: { status: 404, message: "The specified file does not exist." },
  ResourceNotFound: { status: 404, message: "The specified resource does not exist." },
  MachineNotFound: { status: 404, message: "No machine of the mesh has this name or id." },
  TokenNotFound: { status: 404, message: "No open join token has this id." },
  ContainerNotFound: { status: 404, message: "The specified container does not exist." },
  BlobNotFound: { status: 404, message: "The specified blob does not exist." },
  GroupNotFound: { status: 404, message: "This machine holds no replica of the group." },
  UnsupportedHttpVerb: { status: 405, message: "The resource does not support the specified HTTP verb." },
  // 409: not in this state
  OperationInvalidForCurrentState: { status: 409, message: "The operation is not valid for the current state of the resource." },
  PoolExists: { status: 409, message: "The specified pool already exists." },
  JobExists: { status: 409, message: "The specified job already exists." },
  TaskExists: { status: 409, message: "The specified task already exists." },
  ContainerExists: { status: 409, message: "The specified container already exists." },
  PoolBeingDeleted: { status: 409, message: "The specified pool is being deleted." },
  PoolBeingResized: { status: 409, message: "The specified pool is being resized." },
  JobBeingTerminated: { status: 409, message: "The specified job is being terminated." },
  JobBeingDeleted: { status: 409, message: "The specified job is being deleted." },
  JobDisabled: { status: 409, message: "The specified job is disabled." },
  JobCompleted: { status: 409, message: "The specified job is already completed." },
  JobNotActive: { status: 409, message: "The specified job is not active." },
  TaskCompleted: { status: 409, message: "The specified task is already completed." },
  TaskNotCompleted: { status: 409, message: "The specified task has not completed." },
  TaskSucceeded: { status: 409, message: "The specified task completed with success and cannot be reactivated." },
  TaskFilesUnavailable: { status: 409, message: "The task has not run on a node, or the node that ran it is gone and its files were not kept." },
  TaskFilesCleanedup: { status: 409, message: "The files of the task were removed at the end of its retention time." },
  NodeNotReady: { status: 409, message: "The node is not ready for this operation.", retryable: true },
  NodeAlreadyInTargetSchedulingState: { status: 409, message: "The node is already in the requested scheduling state." },
  JobPreparationTaskOrReleaseTaskNotSpecified: { status: 409, message: "The job has no job preparation or job release task." },
  MachineExists: { status: 409, message: "A machine with this name is already a member.", hint: "Give another name with --name." },
  AlreadyInitialized: { status: 409, message: "This data directory already belongs to a mesh." },
  NotInitialized: {
    status: 409,
    message: "This machine belongs to no mesh yet.",
    hint: "Run `shoal init` for a new mesh, or `shoal join TOKEN` to enter one."
  },
  AgentRunning: { status: 409, message: "Another agent already uses this data directory." },
  QuorumAlive: { status: 409, message: "The group still has a quorum and needs no recovery." },
  // 4xx: size and conditions
  ConditionNotMet: { status: 412, message: "The condition specified in the conditional header was not met." },
  RequestBodyTooLarge: { status: 413, message: "The request body is too large." },
  TooLarge: { status: 413, message: "The message or value exceeds its size limit." },
  InvalidRange: { status: 416, message: "The specified range is invalid for the resource." },
  // 5xx and busy: try again
  TooManyRequests: { status: 429, message: "Too many requests are waiting.", retryable: true },
  InternalError: { status: 500, message: "The server encountered an internal error." },
  CorruptStore: { status: 500, message: "A stored record fails its checksum." },
  OperationTimedOut: { status: 500, message: "The operation could not be completed within the permitted time.", retryable: true },
  /** Ours: a method between agents, not an HTTP verb. */
  UnknownMethod: {
    status: 501,
    message: "The peer does not know this method.",
    hint: "Its agent may be of another version; update it."
  },
  ServerBusy: { status: 503, message: "The mesh cannot take this request now.", retryable: true },
  NotLeader: { status: 503, message: "This machine does not lead the group.", retryable: true },
  NoQuorum: {
    status: 503,
    message: "A majority of the voters of the group cannot be reached.",
    retryable: true,
    hint: "Start the machines that vote in the group; if they are gone for good, see `shoal recover`."
  },
  PeerUnreachable: { status: 503, message: "The peer cannot be reached.", retryable: true },
  AgentUnreachable: {
    status: 503,
    message: "No agent answers on this machine.",
    hint: "Start one with `shoal agent`, or name another with --endpoint."
  },
  DiskFull: { status: 507, message: "The disk is full." }
};
var ShoalError = class extends Error {
  name = "ShoalError";
  code;
  values;
  constructor(code, message, values = {}, options) {
    super(message ?? ERRORS[code].message, options);
    this.code = code;
    this.values = values;
  }
  get status() {
    return ERRORS[this.code].status;
  }
  get retryable() {
    return ERRORS[this.code].retryable === true;
  }
  get hint() {
    return ERRORS[this.code].hint;
  }
};

// src/lib/limits.ts
var GOSSIP_BYTES_MAX = 64 * 1024;
var FRAME_BYTES_MAX = 8 * 1024 * 1024;
var PEER_QUEUE_BYTES_MAX = 64 * 1024 * 1024;
var GOSSIP_RPC_BYTES_MAX = 8 * 1024 * 1024;
var GOSSIP_OUTBOUND_BYTES_MAX = 4 * 1024 * 1024;
var BULK_HEADER_BYTES_MAX = 64 * 1024;
var BULK_CREDIT_BYTES = 8 * 1024 * 1024;
var RAFT_APPEND_BYTES_MAX = 1024 * 1024;
var RAFT_ENTRY_BYTES_MAX = 6 * 1024 * 1024;
var RAFT_LOG_KEEP_BYTES = 32 * 1024 * 1024;
var SNAPSHOT_SLICE_BYTES = 1024 * 1024;
var DISPATCH_BYTES_MAX = 40 * 1024;
var SPEC_CACHE_BYTES_MAX = 32 * 1024 * 1024;
var ID_LENGTH_MAX = 64;
var PAGE_ITEMS_MAX = 1e3;
var JOB_NUMBER_MAX = 2 ** 25 - 1;
var TASK_NUMBER_MAX = 2 ** 28 - 1;
var ENVIRONMENT_BYTES_MAX = 64 * 1024;
var COMMAND_LINE_BYTES_MAX = 128 * 1024;
var REQUEST_IDS_KEPT = 2e4;
var REQUEST_ANSWERS_BYTES_MAX = 32 * 1024 * 1024;
var STORE_TURN_BYTES_MAX = 4 * 1024 * 1024;
var STORE_WRITE_BUFFER_BYTES = 8 * 1024 * 1024;
var STORE_CACHE_BYTES = 32 * 1024 * 1024;
var STORE_PAGE_BYTES = 512 * 1024;
var STORE_KEY_LENGTH_MAX = 1024;
var RUNNER_FRAME_BYTES_MAX = 8 * 1024 * 1024;
var RUNNER_JOURNAL_RESET_BYTES = 64 * 1024;
var RUNNER_JOURNAL_BYTES_MAX = 8 * 1024 * 1024;
var RUNNER_LOG_BYTES_MAX = 1024 * 1024;
var PROCESS_ENVIRONMENT_BYTES_MAX = 256 * 1024;
var CHUNK_BYTES = 1024 * 1024;
var BLOB_COPIES = 2;
var BLOB_BYTES_MAX = 16 * 1024 ** 4;
var RESOURCE_FILE_BYTES_MAX = 1024 ** 4;
var TASK_OUTPUT_BYTES_MAX = 1024 ** 3;
var RETENTION_DEFAULT_MS = 7 * 864e5;
var REQUEST_BODY_BYTES_MAX = 4 * 1024 * 1024;
var API_HEADER_BYTES_MAX = 32 * 1024;
var TOKEN_VALID_MS_MAX = 30 * 864e5;
var SHARED_KEY_SKEW_MS = 15 * 6e4;
var CLIENT_JSON_BYTES_MAX = 64 * 1024 * 1024;
var CLIENT_EVENT_BYTES_MAX = 1024 * 1024;
var CLIENT_ADD_BYTES_MAX = 1024 * 1024;
var RUN_ITEM_BYTES_MAX = 256 * 1024 * 1024;
var RUN_FETCH_AHEAD_BYTES = 64 * 1024;
var DOCTOR_DISK_FREE_BYTES_MIN = 1024 ** 3;
var TOKENS_OPEN_MAX = 1e3;
var TOKEN_USES_MAX = 1e4;
var MACHINE_NAME_LENGTH_MAX = 200;
var MACHINE_ADDRESSES_MAX = 64;
var REMOVE_NODES_MAX = 100;
var RESIZE_TIMEOUT_DEFAULT_MS = 15 * 6e4;
var RESIZE_TIMEOUT_MIN_MS = 5 * 6e4;
var BLOBS_PER_COMMAND_MAX = 1e3;
var CONTAINER_DELETE_SLICE = 2e3;
var BLOB_KEY_LENGTH_MAX = 900;

// src/model/ids.ts
var MESH_GROUP = "mesh";
function poolGroup(poolId) {
  return `pool:${idKey(poolId)}`;
}
function peerOfMachine(machine) {
  const slash = machine.indexOf("/");
  return slash < 0 ? machine : machine.slice(0, slash);
}
function idKey(id) {
  return id.toLowerCase();
}
var ID_SHAPE = new RegExp(`^[A-Za-z0-9_-]{1,${ID_LENGTH_MAX}}$`);
function isValidId(id) {
  return ID_SHAPE.test(id);
}
function isValidJobReference(id) {
  return ID_SHAPE.test(id) || /^[A-Za-z0-9_-]{1,64}:job-[1-9][0-9]{0,9}$/.test(id);
}

// coordinator/core/mesh/rows.ts
var COUNTERS_ROW = "k";
var SETTINGS_ROW = "s";
var allotmentRow = (node) => `a/${node}`;
var containerRow = (name) => `c/${name}`;
var directoryRow = (job) => `d/${idKey(job)}`;
var groupRow = (group) => `g/${group}`;
var manifestRow = (manifest) => `h/${manifest}`;
var memberRow = (machine) => `m/${machine}`;
var poolRow = (pool) => `p/${idKey(pool)}`;
var requestRow = (sequence) => `q/${hex(sequence, 14)}`;
var tokenRow = (token) => `t/${token}`;
var dyingContainerRow = (container) => `x/${hex(container, 8)}`;
var blobRows = (container) => `b/${hex(container, 8)}/`;
function splitBlobRow(row) {
  return { container: Number.parseInt(row.slice(2, 10), 16), key: row.slice(11) };
}
function escapeBlobName(name) {
  try {
    return encodeURI(name);
  } catch {
    return void 0;
  }
}
function longBlobKey(escaped, number) {
  return `${escaped.slice(0, BLOB_KEY_LENGTH_MAX)}%%${hex(number, 14)}`;
}
function hex(value, digits) {
  return value.toString(16).padStart(digits, "0");
}

// src/wire/codec.ts
import { Packr } from "msgpackr";
import { Compile } from "typebox/compile";
var packr = new Packr({ useRecords: false, moreTypes: false, int64AsType: "number" });
function encode(value) {
  return packr.pack(value);
}
function decode(bytes) {
  try {
    return packr.unpack(bytes);
  } catch (cause) {
    throw new ShoalError("InvalidRequestBody", "The message is not valid msgpack.", {}, { cause });
  }
}

// coordinator/core/mesh/turn.ts
var Turn = class {
  index;
  timeMs;
  #ordinal = 0;
  /** Undefined: the row goes. */
  #rows = /* @__PURE__ */ new Map();
  #events = [];
  #effects = /* @__PURE__ */ new Map();
  constructor(index2, timeMs) {
    this.index = index2;
    this.timeMs = timeMs;
  }
  put(key, row) {
    this.#rows.set(key, row);
  }
  delete(key) {
    this.#rows.set(key, void 0);
  }
  event(kind, message, data = {}) {
    this.#events.push({ kind, message, data });
  }
  /** The same effect twice in one entry is one effect. */
  effect(effect) {
    this.#effects.set(JSON.stringify(effect), effect);
  }
  /** A new version for each call: two changes of one entity in one entry have different ETags. */
  stamp() {
    this.#ordinal += 1;
    const hex2 = (value, digits) => value.toString(16).toUpperCase().padStart(digits, "0");
    return { eTag: `0x${hex2(this.index, 11)}${hex2(this.#ordinal, 5)}`, lastModifiedMs: this.timeMs };
  }
  writes() {
    const writes = [];
    for (const [key, row] of this.#rows) {
      writes.push(row === void 0 ? { kind: "delete", key } : { kind: "put", key, value: encode(row) });
    }
    return writes;
  }
  events() {
    return this.#events;
  }
  effects() {
    return [...this.#effects.values()];
  }
};
function refuse(code, message, values) {
  return {
    ok: false,
    code,
    ...message === void 0 ? {} : { message },
    ...values === void 0 ? {} : { values }
  };
}
function refuseProperty(property, value, reason) {
  return refuse("InvalidPropertyValue", `The value of ${property} is not valid: ${reason}`, {
    PropertyName: property,
    PropertyValue: value.slice(0, 200),
    Reason: reason
  });
}

// coordinator/core/mesh/members.ts
var Members = class {
  #byId = /* @__PURE__ */ new Map();
  #byPeer = /* @__PURE__ */ new Map();
  #byName = /* @__PURE__ */ new Map();
  #byNumber = /* @__PURE__ */ new Map();
  load(member) {
    this.#index(member);
  }
  get size() {
    return this.#byId.size;
  }
  all() {
    return this.#byId.values();
  }
  get(id) {
    return this.#byId.get(id);
  }
  byPeer(peer) {
    return this.#byPeer.get(peer);
  }
  byName(name) {
    return this.#byName.get(idKey(name));
  }
  byNumber(number) {
    return this.#byNumber.get(number);
  }
  /** Takes a machine in under a name of its own. `replaces` (the same peer with another store) leaves in the same step. */
  enrol(turn, offer2, given) {
    if (given.replaces !== void 0) this.remove(turn, given.replaces);
    const keepsName = given.replaces !== void 0 && given.replaces.offeredName === offer2.name;
    const member = {
      id: offer2.id,
      peer: offer2.peer,
      name: keepsName ? given.replaces.name : this.#freeName(offer2.name),
      capacity: offer2.capacity,
      addresses: offer2.addresses,
      version: offer2.version,
      joinedAtMs: turn.timeMs,
      scheduling: "enabled",
      number: given.number,
      offeredName: offer2.name,
      joinedWith: given.joinedWith
    };
    this.#set(turn, member);
    return member;
  }
  /**
   * New addresses, capacity, version. A machine that became `host-2` stays `host-2` over restarts, even once `host` is
   * free: names change only where the machine itself offers another one.
   */
  update(turn, member, offer2) {
    const renamed = offer2.name !== member.offeredName;
    if (renamed) this.#byName.delete(idKey(member.name));
    const updated = {
      ...member,
      name: renamed ? this.#freeName(offer2.name) : member.name,
      capacity: offer2.capacity,
      addresses: offer2.addresses,
      version: offer2.version,
      offeredName: offer2.name
    };
    this.#set(turn, updated);
    return updated;
  }
  setScheduling(turn, member, scheduling) {
    this.#set(turn, { ...member, scheduling });
  }
  remove(turn, member) {
    this.#byId.delete(member.id);
    this.#byPeer.delete(member.peer);
    this.#byName.delete(idKey(member.name));
    this.#byNumber.delete(member.number);
    turn.delete(memberRow(member.id));
  }
  #set(turn, member) {
    this.#index(member);
    turn.put(memberRow(member.id), member);
  }
  #index(member) {
    this.#byId.set(member.id, member);
    this.#byPeer.set(member.peer, member);
    this.#byName.set(idKey(member.name), member);
    this.#byNumber.set(member.number, member);
  }
  /** `host`, else `host-2`, `host-3`…: the first that nobody has. */
  #freeName(offered) {
    if (!this.#byName.has(idKey(offered))) return offered;
    for (let suffix = 2; ; suffix += 1) {
      const name = `${offered}-${suffix}`;
      if (!this.#byName.has(idKey(name))) return name;
    }
  }
};
var MACHINE_ID_SHAPE = /^[A-Za-z0-9_-]{1,128}\/[A-Za-z0-9_-]{1,64}$/;
function checkOffer(offer2) {
  const { id, peer, name, capacity, addresses } = offer2;
  if (!MACHINE_ID_SHAPE.test(id) || peerOfMachine(id) !== peer) {
    return refuseProperty("machine.id", id, "it is not <PeerId>/<store incarnation> of the same peer.");
  }
  if (name.length < 1 || name.length > MACHINE_NAME_LENGTH_MAX || /[\u0000-\u001f\u007f]/.test(name)) {
    return refuseProperty(
      "machine.name",
      name,
      `a name has 1 to ${MACHINE_NAME_LENGTH_MAX} printable characters.`
    );
  }
  if (!Number.isSafeInteger(capacity.cores) || capacity.cores < 0) {
    return refuseProperty("machine.cores", String(capacity.cores), "it is not a count.");
  }
  if (!Number.isSafeInteger(capacity.memoryBytes) || capacity.memoryBytes < 0) {
    return refuseProperty("machine.memoryBytes", String(capacity.memoryBytes), "it is not a count.");
  }
  if (addresses.length > MACHINE_ADDRESSES_MAX) {
    return refuseProperty(
      "machine.addresses",
      String(addresses.length),
      `at most ${MACHINE_ADDRESSES_MAX} are kept.`
    );
  }
  return void 0;
}

// coordinator/core/mesh/admission.ts
var DEFAULT_POOL = {
  id: "default",
  vmSize: "machine",
  everyMachine: true,
  slotsFromCores: true
};
function initMesh(state, turn, command) {
  if (state.settings !== void 0) return refuse("AlreadyInitialized");
  const refusal = checkOffer(command.machine);
  if (refusal !== void 0) return refusal;
  const { meshId, accountName, accountKey } = command.settings;
  state.settings = { meshId, accountName, accountKey };
  turn.put(SETTINGS_ROW, state.settings);
  const founder = enrol(state, turn, command.machine, command.machine.peer);
  state.groups.found(turn, MESH_GROUP, [founder.id]);
  state.groups.found(turn, poolGroup(DEFAULT_POOL.id), [founder.id]);
  return { ok: true, value: state.pools.add(turn, DEFAULT_POOL) };
}
function createToken(state, turn, command) {
  if (state.members.byPeer(command.peer) !== void 0) {
    return refuseProperty("token.peer", command.peer, "it is the identity of a member.");
  }
  return state.tokens.create(turn, command) ?? { ok: true, value: turn.stamp() };
}
function revokeToken(state, turn, command) {
  const token = state.tokens.get(command.id);
  if (token === void 0) return refuse("TokenNotFound");
  state.tokens.remove(turn, token);
  return { ok: true, value: turn.stamp() };
}
function joinMachine(state, turn, command) {
  const refusal = checkOffer(command.machine);
  if (refusal !== void 0) return refusal;
  const offer2 = command.machine;
  const member = state.members.byPeer(offer2.peer);
  if (member !== void 0 && member.id === offer2.id && member.joinedWith === command.tokenPeer) {
    refreshMember(state, turn, member, offer2);
    return joined(state, offer2);
  }
  const token = state.tokens.byPeer(command.tokenPeer);
  if (token === void 0 || token.expiresAtMs <= turn.timeMs) {
    return refuse(
      "InvalidToken",
      token === void 0 ? "The join token is unknown, used up or revoked." : "The join token has expired."
    );
  }
  if (state.tokens.byPeer(offer2.peer) !== void 0) {
    return refuseProperty("machine.peer", offer2.peer, "a machine cannot take the identity of a join token.");
  }
  state.tokens.use(turn, token);
  if (member === void 0) enrol(state, turn, offer2, command.tokenPeer);
  else changeMember(state, turn, member, offer2, command.tokenPeer);
  return joined(state, offer2);
}
function joined(state, offer2) {
  return { ok: true, value: { machine: offer2.id, settings: state.settings } };
}
function updateMachine(state, turn, command) {
  const refusal = checkOffer(command.machine);
  if (refusal !== void 0) return refusal;
  const member = state.members.byPeer(command.machine.peer);
  if (member === void 0)
    return refuse("NotAMember", `The peer ${command.machine.peer} is no member of this mesh.`);
  changeMember(state, turn, member, command.machine, member.joinedWith);
  return { ok: true, value: turn.stamp() };
}
function drainMachine(state, turn, command) {
  const member = state.members.get(command.machine);
  if (member === void 0) return refuse("MachineNotFound");
  const scheduling = command.draining ? "draining" : "enabled";
  if (member.scheduling === scheduling) return { ok: true, value: turn.stamp() };
  state.members.setScheduling(turn, member, scheduling);
  if (command.draining) {
    for (const allotment of state.allotments.onMachine(member.id)) {
      state.allotments.leave(turn, allotment, { option: "taskcompletion", reason: "drain" });
    }
  }
  tellAllPools(state, turn);
  turn.event("machine.scheduling", `The machine ${member.name} is ${scheduling}.`, {
    machine: member.name,
    scheduling
  });
  return { ok: true, value: turn.stamp() };
}
function removeMachine(state, turn, command) {
  const member = state.members.get(command.machine);
  if (member === void 0) return refuse("MachineNotFound");
  if (state.members.size === 1) {
    return refuse("OperationInvalidForCurrentState", "The last machine of a mesh cannot be removed.");
  }
  const stranded = groupStrandedWithout(state, member.id);
  if (stranded !== void 0) {
    return refuse(
      "OperationInvalidForCurrentState",
      `Without ${member.name} the group ${stranded} has no majority of its voters left: drain the machine and wait until others vote in its place, or, if the machine is lost, run \`shoal recover\` for the group first.`
    );
  }
  removeMember(state, turn, member);
  return { ok: true, value: turn.stamp() };
}
function groupStrandedWithout(state, machine) {
  for (const { group, voters } of state.groups.all()) {
    if (!voters.includes(machine)) continue;
    const left = voters.filter((voter) => voter !== machine && state.members.get(voter) !== void 0).length;
    if (left < Math.floor(voters.length / 2) + 1) return group;
  }
  return void 0;
}
function enrol(state, turn, offer2, joinedWith) {
  const number = state.counters.take(turn, "machine");
  const member = state.members.enrol(turn, offer2, { number, joinedWith });
  announce(state, turn, member);
  return member;
}
function changeMember(state, turn, member, offer2, joinedWith) {
  if (member.id === offer2.id) {
    refreshMember(state, turn, member, offer2);
    return;
  }
  dropNodes(state, turn, member);
  const number = state.counters.take(turn, "machine");
  const successor = state.members.enrol(turn, offer2, { number, joinedWith, replaces: member });
  turn.effect({ kind: "blobsChanged" });
  announce(state, turn, successor);
}
function announce(state, turn, member) {
  turn.effect({ kind: "allowListChanged" });
  tellAllPools(state, turn);
  turn.event("machine.joined", `The machine ${member.name} joined.`, { machine: member.name });
}
function refreshMember(state, turn, member, offer2) {
  const updated = state.members.update(turn, member, offer2);
  for (const allotment of state.allotments.onMachine(member.id)) {
    state.allotments.refit(turn, allotment, updated, state.pools.get(allotment.pool));
  }
  turn.effect({ kind: "allowListChanged" });
  tellAllPools(state, turn);
}
function removeMember(state, turn, member) {
  dropNodes(state, turn, member);
  state.members.remove(turn, member);
  turn.effect({ kind: "allowListChanged" });
  turn.effect({ kind: "blobsChanged" });
  turn.event("machine.removed", `The machine ${member.name} was removed.`, { machine: member.name });
}
function dropNodes(state, turn, member) {
  for (const allotment of state.allotments.onMachine(member.id)) state.allotments.remove(turn, allotment);
}
function tellAllPools(state, turn) {
  for (const pool of state.pools.all()) turn.effect({ kind: "poolChanged", pool: pool.spec.id });
}

// src/model/vm-size.ts
var GIB = 1024 ** 3;
function parseVmSize(text) {
  const name = text.toLowerCase();
  if (name === "machine") return { kind: "machine" };
  return parseOwn(name) ?? parseIrregular(name) ?? parseSeries(name);
}
function parseOwn(name) {
  const match = /^shoal\.([1-9]\d{0,3})c([1-9]\d{0,5})g$/.exec(name);
  return match === null ? void 0 : size(Number(match[1]), Number(match[2]));
}
function parseIrregular(name) {
  const row = IRREGULAR.get(name.replace(/_promo$/, ""));
  return row === void 0 ? void 0 : size(row[0], row[1]);
}
function parseSeries(name) {
  const match = /^standard_([a-z]{1,2})(\d{1,3})(?:-(\d{1,3}))?([a-z]*)(?:_v(\d))?$/.exec(name);
  if (match === null) return void 0;
  const [, series = "", full = "", constrained, features = "", version = "1"] = match;
  const cores = Number(full);
  const memoryPerCore = gibPerCore(series, features, Number(version));
  if (cores < 1 || memoryPerCore === void 0) return void 0;
  const used = constrained === void 0 ? cores : Number(constrained);
  return used < 1 || used > cores ? void 0 : size(used, cores * memoryPerCore);
}
function gibPerCore(series, features, version) {
  switch (series) {
    case "a":
      return version === 2 ? features.startsWith("m") ? 8 : 2 : void 0;
    case "b":
      if (version < 2) return void 0;
      return features.includes("t") ? 0.5 : features.includes("l") ? 2 : 4;
    case "d":
    case "dc":
      return version < 3 ? void 0 : features.includes("l") ? 2 : 4;
    case "e":
    case "ec":
      return version < 3 ? void 0 : 8;
    case "f":
      return features.includes("m") ? 8 : features.startsWith("a") && !features.includes("l") ? 4 : 2;
    case "g":
      return void 0;
    case "l":
      return 8;
    default:
      return void 0;
  }
}
function size(cores, memoryGib) {
  return { kind: "size", cores, memoryBytes: Math.round(memoryGib * GIB) };
}
var IRREGULAR = new Map([
  // Cloud Services names, which old Batch samples use.
  ["small", [1, 1.75]],
  ["medium", [2, 3.5]],
  ["large", [4, 7]],
  ["extralarge", [8, 14]],
  // A: the number is a rank, not the cores.
  ["standard_a0", [1, 0.75]],
  ["standard_a1", [1, 1.75]],
  ["standard_a2", [2, 3.5]],
  ["standard_a3", [4, 7]],
  ["standard_a4", [8, 14]],
  ["standard_a5", [2, 14]],
  ["standard_a6", [4, 28]],
  ["standard_a7", [8, 56]],
  ["standard_a8", [8, 56]],
  ["standard_a9", [16, 112]],
  ["standard_a10", [8, 56]],
  ["standard_a11", [16, 112]],
  // B of the first version: memory by letter.
  ["standard_b1ls", [1, 0.5]],
  ["standard_b1s", [1, 1]],
  ["standard_b1ms", [1, 2]],
  ["standard_b2s", [2, 4]],
  ["standard_b2ms", [2, 8]],
  ["standard_b4ms", [4, 16]],
  ["standard_b8ms", [8, 32]],
  ["standard_b12ms", [12, 48]],
  ["standard_b16ms", [16, 64]],
  ["standard_b20ms", [20, 80]],
  ...ranked("d"),
  ...ranked("ds"),
  // E: the largest ones have less than 8 GiB for each core.
  ["standard_e64_v3", [64, 432]],
  ["standard_e64s_v3", [64, 432]],
  ["standard_e64i_v3", [64, 432]],
  ["standard_e64is_v3", [64, 432]],
  ["standard_e64_v4", [64, 504]],
  ["standard_e64s_v4", [64, 504]],
  ["standard_e64d_v4", [64, 504]],
  ["standard_e64ds_v4", [64, 504]],
  ["standard_e96_v5", [96, 672]],
  ["standard_e96s_v5", [96, 672]],
  ["standard_e96d_v5", [96, 672]],
  ["standard_e96ds_v5", [96, 672]],
  // G.
  ["standard_g1", [2, 28]],
  ["standard_g2", [4, 56]],
  ["standard_g3", [8, 112]],
  ["standard_g4", [16, 224]],
  ["standard_g5", [32, 448]],
  // H: high-performance computing.
  ["standard_h8", [8, 56]],
  ["standard_h16", [16, 112]],
  ["standard_h16r", [16, 112]],
  ["standard_h8m", [8, 112]],
  ["standard_h16m", [16, 224]],
  ["standard_h16mr", [16, 224]],
  ["standard_hb60rs", [60, 228]],
  ["standard_hb120rs_v2", [120, 456]],
  ["standard_hb120rs_v3", [120, 448]],
  ["standard_hc44rs", [44, 352]],
  // N: with GPUs. A pool that needs one asks for it by a label.
  ["standard_nc6", [6, 56]],
  ["standard_nc12", [12, 112]],
  ["standard_nc24", [24, 224]],
  ["standard_nc24r", [24, 224]],
  ["standard_nc6s_v2", [6, 112]],
  ["standard_nc12s_v2", [12, 224]],
  ["standard_nc24s_v2", [24, 448]],
  ["standard_nc6s_v3", [6, 112]],
  ["standard_nc12s_v3", [12, 224]],
  ["standard_nc24s_v3", [24, 448]],
  ["standard_nc24rs_v3", [24, 448]],
  ["standard_nc4as_t4_v3", [4, 28]],
  ["standard_nc8as_t4_v3", [8, 56]],
  ["standard_nc16as_t4_v3", [16, 110]],
  ["standard_nc64as_t4_v3", [64, 440]],
  ["standard_nc24ads_a100_v4", [24, 220]],
  ["standard_nc48ads_a100_v4", [48, 440]],
  ["standard_nc96ads_a100_v4", [96, 880]],
  ["standard_nc40ads_h100_v5", [40, 320]],
  ["standard_nc80adis_h100_v5", [80, 640]],
  ["standard_nd40rs_v2", [40, 672]],
  ["standard_nd96asr_v4", [96, 900]],
  ["standard_nv6", [6, 56]],
  ["standard_nv12", [12, 112]],
  ["standard_nv24", [24, 224]],
  ["standard_nv12s_v3", [12, 112]],
  ["standard_nv24s_v3", [24, 224]],
  ["standard_nv48s_v3", [48, 448]],
  ["standard_nv6ads_a10_v5", [6, 55]],
  ["standard_nv12ads_a10_v5", [12, 110]],
  ["standard_nv18ads_a10_v5", [18, 220]],
  ["standard_nv36ads_a10_v5", [36, 440]],
  ["standard_nv72ads_a10_v5", [72, 880]]
]);
function ranked(series) {
  const ranks = [
    [1, 1],
    [2, 2],
    [3, 4],
    [4, 8],
    [5, 16],
    [11, 2],
    [12, 4],
    [13, 8],
    [14, 16],
    [15, 20]
  ];
  return ranks.flatMap(([rank, cores]) => {
    const row = [cores, cores * (rank > 10 ? 7 : 3.5)];
    const second = [`standard_${series}${rank}_v2`, row];
    return rank === 5 || rank === 15 ? [second] : [second, [`standard_${series}${rank}`, row]];
  });
}

// coordinator/core/mesh/allotments.ts
var NODE_NAME = /^tvm-([0-9a-f]{8,13})$/;
function nodeNumber(node) {
  const match = NODE_NAME.exec(node);
  return match === null ? void 0 : Number.parseInt(match[1] ?? "", 16);
}
function leavesAtOnce(option) {
  return option === "requeue" || option === "terminate";
}
var Allotments = class {
  #byNode = /* @__PURE__ */ new Map();
  #byPool = /* @__PURE__ */ new Map();
  #byMachine = /* @__PURE__ */ new Map();
  load(allotment) {
    this.#index(allotment);
  }
  all() {
    return this.#byNode.values();
  }
  get(node) {
    return this.#byNode.get(node);
  }
  ofPool(pool) {
    return [...this.#byPool.get(idKey(pool))?.values() ?? []];
  }
  onMachine(machine) {
    return [...this.#byMachine.get(machine)?.values() ?? []];
  }
  /** Leaving ones not counted. */
  countOf(pool) {
    const staying = this.ofPool(pool).filter((allotment) => allotment.leaving === void 0);
    const dedicated = staying.filter((allotment) => allotment.dedicated).length;
    return { dedicated, lowPriority: staying.length - dedicated };
  }
  /**
   * Whether the machine can host the node as things stand at this entry. Leaving nodes still count: their processes
   * live until the pool's coordinator says otherwise, so no machine is ever oversubscribed.
   */
  fits(added, machine, pool) {
    const present = this.onMachine(machine.id);
    if (machine.scheduling !== "enabled" || pool.state !== "active") return false;
    const labels = pool.spec.requiredLabels ?? [];
    if (!labels.every((label) => machine.capacity.labels.includes(label))) return false;
    if (parseVmSize(pool.spec.vmSize)?.kind === "machine" && present.length > 0) return false;
    const cores = present.reduce((sum, other) => sum + other.cores, added.cores);
    const memoryBytes = present.reduce((sum, other) => sum + other.memoryBytes, added.memoryBytes);
    return cores <= machine.capacity.cores && memoryBytes <= machine.capacity.memoryBytes;
  }
  add(turn, added) {
    const { node, pool, machine, cores, memoryBytes, slots, dedicated, labels } = added;
    this.#set(turn, {
      node,
      pool,
      machine,
      cores,
      memoryBytes,
      slots,
      dedicated,
      labels,
      allottedAtMs: turn.timeMs
    });
    turn.event("node.allotted", `The pool ${pool} has the node ${node}.`, { pool, node, machine });
  }
  /** Calls a node back. One that waits for its tasks can still be hurried; it is never given more time again. */
  leave(turn, allotment, leaving) {
    const before2 = allotment.leaving;
    if (before2 !== void 0 && (leavesAtOnce(before2.option) || !leavesAtOnce(leaving.option))) return;
    this.#set(turn, { ...allotment, leaving: { option: leaving.option, reason: leaving.reason } });
    const data = { pool: allotment.pool, node: allotment.node, reason: leaving.reason };
    turn.event("node.leaving", `The node ${allotment.node} leaves the pool ${allotment.pool}.`, data);
  }
  /** The machine says anew what it has: labels, and for a node that is all of it also cores, memory and slots. */
  refit(turn, allotment, machine, pool) {
    const { cores, memoryBytes, labels } = machine.capacity;
    const whole = pool !== void 0 && parseVmSize(pool.spec.vmSize)?.kind === "machine";
    const sized = whole ? { cores, memoryBytes, slots: slotsOf(pool, cores) } : {};
    const refitted = { ...allotment, ...sized, labels };
    if (sameSize(allotment, refitted)) return;
    this.#set(turn, refitted);
  }
  remove(turn, allotment) {
    this.#byNode.delete(allotment.node);
    this.#byPool.get(idKey(allotment.pool))?.delete(allotment.node);
    this.#byMachine.get(allotment.machine)?.delete(allotment.node);
    turn.delete(allotmentRow(allotment.node));
    turn.effect({ kind: "allotmentsChanged", pool: allotment.pool });
    const data = { pool: allotment.pool, node: allotment.node, machine: allotment.machine };
    turn.event("node.gone", `The node ${allotment.node} left the pool ${allotment.pool}.`, data);
  }
  #set(turn, allotment) {
    this.#index(allotment);
    turn.put(allotmentRow(allotment.node), allotment);
    turn.effect({ kind: "allotmentsChanged", pool: allotment.pool });
  }
  #index(allotment) {
    this.#byNode.set(allotment.node, allotment);
    childOf(this.#byPool, idKey(allotment.pool)).set(allotment.node, allotment);
    childOf(this.#byMachine, allotment.machine).set(allotment.node, allotment);
  }
};
function slotsOf(pool, cores) {
  return pool.spec.slotsFromCores ? Math.max(1, cores) : pool.spec.taskSlotsPerNode ?? 1;
}
function childOf(parents, key) {
  let child = parents.get(key);
  if (child === void 0) {
    child = /* @__PURE__ */ new Map();
    parents.set(key, child);
  }
  return child;
}
function sameSize(a, b) {
  return a.cores === b.cores && a.memoryBytes === b.memoryBytes && a.slots === b.slots && a.labels.length === b.labels.length && a.labels.every((label, at) => label === b.labels[at]);
}

// coordinator/core/mesh/condition.ts
function checkCondition(stamp, condition) {
  if (condition === void 0 || holds(stamp, condition)) return void 0;
  return refuse("ConditionNotMet");
}
function holds(stamp, condition) {
  const { ifMatch, ifNoneMatch, ifModifiedSinceMs, ifUnmodifiedSinceMs } = condition;
  const modifiedMs = Math.floor(stamp.lastModifiedMs / 1e3) * 1e3;
  if (ifMatch !== void 0 && !names(ifMatch, stamp.eTag)) return false;
  if (ifNoneMatch !== void 0 && names(ifNoneMatch, stamp.eTag)) return false;
  if (ifModifiedSinceMs !== void 0 && modifiedMs <= ifModifiedSinceMs) return false;
  return ifUnmodifiedSinceMs === void 0 || modifiedMs <= ifUnmodifiedSinceMs;
}
function names(asked, eTag) {
  return asked === "*" || asked.replace(/^"(.*)"$/, "$1") === eTag;
}

// src/lib/durations.ts
var SHAPE = /^P(?:(\d{1,8})W)?(?:(\d{1,8})D)?(T(?:(\d{1,10})H)?(?:(\d{1,10})M)?(?:(\d{1,12}(?:\.\d{1,9})?)S)?)?$/;
var LIMIT_MS = 10675199 * 864e5;
function parseDuration(text) {
  const match = SHAPE.exec(text);
  if (match === null || text === "P" || text.endsWith("T")) return void 0;
  const [, weeks, days, time, hours, minutes, seconds] = match;
  if (weeks === void 0 && days === void 0 && time === void 0) return void 0;
  const total = Number(weeks ?? 0) * 6048e5 + Number(days ?? 0) * 864e5 + Number(hours ?? 0) * 36e5 + Number(minutes ?? 0) * 6e4 + Number(seconds ?? 0) * 1e3;
  return total >= LIMIT_MS ? Number.POSITIVE_INFINITY : total;
}

// coordinator/core/mesh/pools.ts
var Pools = class {
  #byKey = /* @__PURE__ */ new Map();
  load(record) {
    this.#byKey.set(idKey(record.spec.id), record);
  }
  all() {
    return this.#byKey.values();
  }
  get(id) {
    return this.#byKey.get(idKey(id));
  }
  add(turn, spec) {
    const stamp = turn.stamp();
    this.#set(turn, {
      ...stamp,
      spec,
      state: "active",
      allocationState: "resizing",
      creationTimeMs: turn.timeMs,
      stateTransitionTimeMs: turn.timeMs,
      allocationStateTransitionTimeMs: turn.timeMs,
      targetDedicatedNodes: spec.targetDedicatedNodes ?? 0,
      targetLowPriorityNodes: spec.targetLowPriorityNodes ?? 0,
      resizeErrors: [],
      resizeDeadlineMs: turn.timeMs + resizeTimeoutMs(spec.resizeTimeout),
      deallocationOption: "requeue"
    });
    turn.event("pool.added", `The pool ${spec.id} was added.`, { pool: spec.id });
    return stamp;
  }
  patch(turn, pool, patch) {
    const stamp = turn.stamp();
    this.#set(turn, { ...pool, ...stamp, spec: { ...pool.spec, ...patch } });
    return stamp;
  }
  resize(turn, pool, resize) {
    const stamp = turn.stamp();
    this.#set(turn, {
      ...this.#allocating(turn, pool, "resizing"),
      ...stamp,
      targetDedicatedNodes: resize.targetDedicatedNodes ?? pool.targetDedicatedNodes,
      targetLowPriorityNodes: resize.targetLowPriorityNodes ?? pool.targetLowPriorityNodes,
      resizeErrors: [],
      resizeDeadlineMs: turn.timeMs + resizeTimeoutMs(resize.resizeTimeout),
      deallocationOption: resize.nodeDeallocationOption ?? "requeue"
    });
    turn.event("pool.resized", `The pool ${pool.spec.id} is being resized.`, { pool: pool.spec.id });
    return stamp;
  }
  /** The targets become what is there; the next packing finds them met and calls the pool steady. */
  stopResize(turn, pool, counts) {
    const stamp = turn.stamp();
    this.#set(turn, {
      ...this.#allocating(turn, pool, "stopping"),
      ...stamp,
      targetDedicatedNodes: counts.dedicated,
      targetLowPriorityNodes: counts.lowPriority,
      resizeErrors: []
    });
    return stamp;
  }
  /** Named nodes were called back: the targets shrink by them, or they would be allotted anew at once. */
  removed(turn, pool, gone) {
    const stamp = turn.stamp();
    this.#set(turn, {
      ...this.#allocating(turn, pool, "resizing"),
      ...stamp,
      targetDedicatedNodes: Math.max(0, pool.targetDedicatedNodes - gone.dedicated),
      targetLowPriorityNodes: Math.max(0, pool.targetLowPriorityNodes - gone.lowPriority),
      resizeErrors: [],
      resizeDeadlineMs: turn.timeMs + RESIZE_TIMEOUT_DEFAULT_MS
    });
    return stamp;
  }
  markDeleting(turn, pool) {
    const stamp = turn.stamp();
    this.#set(turn, { ...pool, ...stamp, state: "deleting", stateTransitionTimeMs: turn.timeMs });
    turn.event("pool.deleting", `The pool ${pool.spec.id} is being deleted.`, { pool: pool.spec.id });
    return stamp;
  }
  erase(turn, pool) {
    this.#byKey.delete(idKey(pool.spec.id));
    turn.delete(poolRow(pool.spec.id));
    turn.effect({ kind: "poolChanged", pool: pool.spec.id });
    turn.event("pool.deleted", `The pool ${pool.spec.id} is gone.`, { pool: pool.spec.id });
  }
  /** No new version: a pool's ETag changes with its properties, not with its nodes. */
  setResizeErrors(turn, pool, resizeErrors) {
    this.#set(turn, { ...pool, resizeErrors });
  }
  setSteady(turn, pool) {
    if (pool.allocationState !== "steady") this.#set(turn, this.#allocating(turn, pool, "steady"));
  }
  /** A resize whose time is over ends unmet: the target stays and is met when a machine joins. */
  sweep(turn) {
    for (const pool of [...this.#byKey.values()]) {
      if (isDue(pool) && pool.resizeDeadlineMs <= turn.timeMs) this.setSteady(turn, pool);
    }
  }
  dueAtMs() {
    let due = Number.POSITIVE_INFINITY;
    for (const pool of this.#byKey.values()) if (isDue(pool)) due = Math.min(due, pool.resizeDeadlineMs);
    return due;
  }
  #allocating(turn, pool, allocationState) {
    return { ...pool, allocationState, allocationStateTransitionTimeMs: turn.timeMs };
  }
  #set(turn, record) {
    this.#byKey.set(idKey(record.spec.id), record);
    turn.put(poolRow(record.spec.id), record);
    turn.effect({ kind: "poolChanged", pool: record.spec.id });
  }
};
function isDue(pool) {
  return pool.state === "active" && pool.allocationState !== "steady";
}
function checkPoolSpec(spec) {
  if (!isValidId(spec.id)) {
    return refuseProperty("id", spec.id, "an id has 1 to 64 letters, digits, dashes and underscores.");
  }
  if (parseVmSize(spec.vmSize) === void 0) {
    const known = "use `machine`, `shoal.<cores>c<GiB>g` such as shoal.4c8g, or an Azure size such as standard_d2s_v3.";
    return refuseProperty("vmSize", spec.vmSize, `the size is unknown; ${known}`);
  }
  if (spec.everyMachine && ((spec.targetDedicatedNodes ?? 0) > 0 || (spec.targetLowPriorityNodes ?? 0) > 0)) {
    return refuseProperty(
      "everyMachine",
      "true",
      "a pool with a node on every machine has no target of its own."
    );
  }
  return checkResizeTimeout(spec.resizeTimeout);
}
function checkResize(pool, resize) {
  if (resize.targetDedicatedNodes === void 0 && resize.targetLowPriorityNodes === void 0) {
    return refuse(
      "MissingRequiredProperty",
      "A resize names targetDedicatedNodes, targetLowPriorityNodes or both."
    );
  }
  return checkHasTargets(pool) ?? checkResizeTimeout(resize.resizeTimeout);
}
function checkHasTargets(pool) {
  if (!pool.spec.everyMachine) return void 0;
  return refuse(
    "OperationInvalidForCurrentState",
    `The pool ${pool.spec.id} has a node on every machine: drain a machine to take its node away.`
  );
}
function checkResizeTimeout(resizeTimeout) {
  if (resizeTimeout === void 0) return void 0;
  const timeoutMs = parseDuration(resizeTimeout);
  if (timeoutMs !== void 0 && timeoutMs >= RESIZE_TIMEOUT_MIN_MS) return void 0;
  return refuseProperty("resizeTimeout", resizeTimeout, "it is no duration of at least PT5M.");
}
function resizeTimeoutMs(resizeTimeout) {
  const asked = resizeTimeout === void 0 ? void 0 : parseDuration(resizeTimeout);
  return Math.min(asked ?? RESIZE_TIMEOUT_DEFAULT_MS, Number.MAX_SAFE_INTEGER / 2);
}

// coordinator/core/mesh/estate.ts
function addPool(state, turn, command) {
  const { spec, voters } = command;
  const refusal = checkPoolSpec(spec);
  if (refusal !== void 0) return refusal;
  const known = state.pools.get(spec.id);
  if (known !== void 0) return refuse(known.state === "deleting" ? "PoolBeingDeleted" : "PoolExists");
  const noGroup = checkGroup(state, spec.id, voters);
  if (noGroup !== void 0) return noGroup;
  state.groups.found(turn, poolGroup(spec.id), voters);
  return { ok: true, value: state.pools.add(turn, spec) };
}
function checkGroup(state, pool, voters) {
  if (state.groups.get(poolGroup(pool)) !== void 0) return void 0;
  return state.groups.checkNewVoters(voters, (machine) => state.members.get(machine) !== void 0);
}
function patchPool(state, turn, command) {
  const pool = findPool(state, command);
  if (!pool.ok) return pool;
  return { ok: true, value: state.pools.patch(turn, pool.value, command.patch) };
}
function resizePool(state, turn, command) {
  const pool = findPool(state, command);
  if (!pool.ok) return pool;
  const refusal = checkResize(pool.value, command.resize) ?? checkSteady(pool.value);
  if (refusal !== void 0) return refusal;
  return { ok: true, value: state.pools.resize(turn, pool.value, command.resize) };
}
function stopResize(state, turn, command) {
  const pool = findPool(state, command);
  if (!pool.ok) return pool;
  const { spec, allocationState } = pool.value;
  if (allocationState !== "resizing") {
    return refuse(
      "OperationInvalidForCurrentState",
      `The pool ${spec.id} is ${allocationState}: there is no resize to stop.`
    );
  }
  return { ok: true, value: state.pools.stopResize(turn, pool.value, state.allotments.countOf(spec.id)) };
}
function removeNodes(state, turn, command) {
  const pool = findPool(state, command);
  if (!pool.ok) return pool;
  const names2 = [...new Set(command.nodes)];
  if (names2.length < 1 || names2.length > REMOVE_NODES_MAX) {
    return refuse("OutOfRangeInput", `Between 1 and ${REMOVE_NODES_MAX} nodes can be removed at once.`);
  }
  const refusal = checkHasTargets(pool.value) ?? checkSteady(pool.value);
  if (refusal !== void 0) return refusal;
  const nodes = new Map(
    state.allotments.ofPool(command.pool).map((allotment) => [allotment.node, allotment])
  );
  const stranger = names2.find((name) => !nodes.has(name));
  if (stranger !== void 0) {
    return refuse("NodeNotFound", `The pool ${pool.value.spec.id} has no node ${stranger}.`, {
      Node: stranger
    });
  }
  const gone = { dedicated: 0, lowPriority: 0 };
  for (const name of names2) {
    const allotment = nodes.get(name);
    if (allotment === void 0) continue;
    if (allotment.leaving === void 0) gone[allotment.dedicated ? "dedicated" : "lowPriority"] += 1;
    state.allotments.leave(turn, allotment, { option: command.option, reason: "resize" });
  }
  return { ok: true, value: state.pools.removed(turn, pool.value, gone) };
}
function deletePool(state, turn, command) {
  const pool = findPool(state, command);
  if (!pool.ok) return pool;
  for (const allotment of state.allotments.ofPool(command.pool)) {
    state.allotments.leave(turn, allotment, { option: "requeue", reason: "poolDeleted" });
  }
  return { ok: true, value: state.pools.markDeleting(turn, pool.value) };
}
function erasePool(state, turn, command) {
  const pool = state.pools.get(command.pool);
  if (pool === void 0) return refuse("PoolNotFound");
  if (pool.state !== "deleting" || state.allotments.ofPool(command.pool).length > 0) {
    return refuse(
      "OperationInvalidForCurrentState",
      `The pool ${command.pool} is not deleted, or still has nodes.`
    );
  }
  state.pools.erase(turn, pool);
  if (state.directory.jobsOf(command.pool) === 0) state.groups.giveUp(turn, poolGroup(command.pool));
  return { ok: true, value: turn.stamp() };
}
function allot(state, turn, command) {
  for (const { node, option, reason } of command.leave) {
    const allotment = state.allotments.get(node);
    if (allotment !== void 0) state.allotments.leave(turn, allotment, { option, reason });
  }
  for (const added of command.add) addNode(state, turn, added);
  for (const { pool: id, errors } of command.resizeErrors) {
    const pool = state.pools.get(id);
    if (pool !== void 0) state.pools.setResizeErrors(turn, pool, errors);
  }
  for (const id of command.steady) {
    const pool = state.pools.get(id);
    if (pool !== void 0 && targetsMet(state, pool)) state.pools.setSteady(turn, pool);
  }
  return { ok: true, value: turn.stamp() };
}
function addNode(state, turn, added) {
  const number = nodeNumber(added.node);
  const pool = state.pools.get(added.pool);
  const machine = state.members.get(added.machine);
  if (number === void 0 || number < state.counters.nextNode) return;
  if (pool === void 0 || machine === void 0 || !state.allotments.fits(added, machine, pool)) return;
  if (exceedsTarget(state, added, pool)) return;
  state.counters.useNode(turn, number);
  state.allotments.add(turn, { ...added, pool: pool.spec.id });
}
function exceedsTarget(state, added, pool) {
  if (pool.spec.everyMachine) {
    return state.allotments.ofPool(added.pool).some((other) => other.machine === added.machine);
  }
  const counts = state.allotments.countOf(added.pool);
  return added.dedicated ? counts.dedicated >= pool.targetDedicatedNodes : counts.lowPriority >= pool.targetLowPriorityNodes;
}
function targetsMet(state, pool) {
  if (pool.spec.everyMachine) return true;
  const counts = state.allotments.countOf(pool.spec.id);
  return counts.dedicated === pool.targetDedicatedNodes && counts.lowPriority === pool.targetLowPriorityNodes;
}
function releaseNodes(state, turn, command) {
  for (const node of command.nodes) {
    const allotment = state.allotments.get(node);
    if (allotment?.leaving !== void 0) state.allotments.remove(turn, allotment);
  }
  return { ok: true, value: turn.stamp() };
}
function findPool(state, { pool: id, condition }) {
  const pool = state.pools.get(id);
  if (pool === void 0) return refuse("PoolNotFound", `There is no pool ${id}.`);
  if (pool.state === "deleting")
    return refuse("PoolBeingDeleted", `The pool ${pool.spec.id} is being deleted.`);
  return checkCondition(pool, condition) ?? { ok: true, value: pool };
}
function checkSteady(pool) {
  if (pool.allocationState === "steady") return void 0;
  return refuse("PoolBeingResized", `The pool ${pool.spec.id} is ${pool.allocationState}.`);
}

// src/lib/assert.ts
function assertNever(value) {
  throw new Error(`unexpected value: ${JSON.stringify(value)}`);
}

// coordinator/core/mesh/queries.ts
var NAMES = [
  "settings",
  "pool.get",
  "pool.list",
  "machine.list",
  "token.list",
  "group.list",
  "job.locate",
  "allotment.list",
  "container.list",
  "blob.get",
  "blob.list"
];
function isMeshQuery(name) {
  return NAMES.includes(name);
}
async function queryMesh(context, name, argument) {
  const { state } = context;
  const text = textReader(argument);
  switch (name) {
    case "settings":
      if (state.settings === void 0) throw new ShoalError("NotInitialized");
      return state.settings;
    case "pool.get":
      return poolEntity(state, existingPool(state, text("pool")));
    case "pool.list":
      return byName([...state.pools.all()], (pool) => pool.spec.id).map((pool) => poolEntity(state, pool));
    case "machine.list":
      return byName([...state.members.all()], (member) => member.name).map(
        (member) => machineEntity(context, member)
      );
    case "token.list":
      return byName([...state.tokens.all()], (token) => token.id).map(tokenEntity);
    case "group.list":
      return byName([...state.groups.all()], (record) => record.group);
    case "job.locate":
      return state.directory.poolOf(text("job"));
    case "allotment.list": {
      const pool = text.optional("pool");
      const allotments = pool === void 0 ? [...state.allotments.all()] : state.allotments.ofPool(pool);
      return byName(allotments, (allotment) => allotment.node);
    }
    case "container.list":
      return byName(state.blobs.containers(), (container) => container.name);
    case "blob.get":
      return getBlob(context, text("container"), text("name"));
    case "blob.list":
      return listBlobs(context, {
        container: text("container"),
        prefix: text.optional("prefix") ?? "",
        after: text.optional("after"),
        limit: argument.limit
      });
    default:
      return assertNever(name);
  }
}
function poolEntity(state, pool) {
  const counts = state.allotments.countOf(pool.spec.id);
  return {
    spec: pool.spec,
    state: pool.state,
    allocationState: pool.allocationState,
    eTag: pool.eTag,
    lastModifiedMs: pool.lastModifiedMs,
    creationTimeMs: pool.creationTimeMs,
    stateTransitionTimeMs: pool.stateTransitionTimeMs,
    allocationStateTransitionTimeMs: pool.allocationStateTransitionTimeMs,
    targetDedicatedNodes: pool.targetDedicatedNodes,
    targetLowPriorityNodes: pool.targetLowPriorityNodes,
    currentDedicatedNodes: counts.dedicated,
    currentLowPriorityNodes: counts.lowPriority,
    resizeErrors: pool.resizeErrors
  };
}
function machineEntity({ state, alive }, member) {
  const { id, peer, name, capacity, addresses, version, joinedAtMs, scheduling } = member;
  return {
    id,
    peer,
    name,
    capacity,
    addresses,
    version,
    joinedAtMs,
    scheduling,
    alive: alive(id),
    nodes: state.allotments.onMachine(id).map((allotment) => allotment.node).sort(),
    votesIn: state.groups.votesOf(id)
  };
}
function tokenEntity({ id, expiresAtMs, usesLeft, createdBy }) {
  return { id, expiresAtMs, usesLeft, createdBy };
}
function existingPool(state, id) {
  const pool = state.pools.get(id);
  if (pool === void 0) throw new ShoalError("PoolNotFound", `There is no pool ${id}.`);
  return pool;
}
async function getBlob({ state, rows: rows2 }, container, name) {
  if (state.blobs.rowPrefix(container) === void 0) {
    throw new ShoalError("ContainerNotFound", `There is no container ${container}.`);
  }
  const key = state.blobs.rowKey(container, name);
  const row = key === void 0 ? void 0 : await rows2.get(key);
  const record = row === void 0 ? void 0 : state.blobs.record(container, decode(row));
  if (record === void 0)
    throw new ShoalError("BlobNotFound", `The container ${container} has no blob ${name}.`);
  return record;
}
async function listBlobs({ state, rows: rows2 }, asked) {
  const { container, prefix, after, limit } = asked;
  if (typeof limit !== "number" || !Number.isInteger(limit) || limit < 1 || limit > PAGE_ITEMS_MAX) {
    throw new ShoalError("OutOfRangeInput", `A page has between 1 and ${PAGE_ITEMS_MAX} blobs.`);
  }
  const base = state.blobs.rowPrefix(container);
  if (base === void 0) throw new ShoalError("ContainerNotFound", `There is no container ${container}.`);
  const escaped = escapeBlobName(prefix);
  const start = after === void 0 ? void 0 : base + after;
  if (escaped === void 0 || start !== void 0 && !isRowKey(start)) {
    throw new ShoalError(
      "InvalidArgument",
      "The prefix is no well-formed text, or `after` was not given out by a page."
    );
  }
  const items = [];
  const scan = {
    prefix: base + state.blobs.keyPrefix(escaped),
    ...start === void 0 ? {} : { after: start }
  };
  let last;
  for await (const [key, value] of rows2.scan(scan)) {
    if (items.length === limit) return last === void 0 ? { items } : { items, next: last };
    last = key.slice(base.length);
    const row = decode(value);
    const record = row.name.startsWith(prefix) ? state.blobs.record(container, row) : void 0;
    if (record !== void 0) items.push(record);
  }
  return { items };
}
function isRowKey(text) {
  return text.length <= STORE_KEY_LENGTH_MAX && /^[\x20-\x7e]*$/.test(text);
}
function byName(items, name) {
  return [...items].sort((a, b) => name(a) < name(b) ? -1 : name(a) > name(b) ? 1 : 0);
}
function textReader(argument) {
  const source = typeof argument === "object" && argument !== null ? argument : {};
  const optional = (property) => {
    const value = source[property];
    if (value === void 0 || value === null) return void 0;
    if (typeof value !== "string")
      throw new ShoalError("InvalidArgument", `The argument ${property} is no text.`);
    return value;
  };
  const required = (property) => {
    const value = optional(property);
    if (value === void 0) throw new ShoalError("InvalidArgument", `The argument ${property} is missing.`);
    return value;
  };
  return Object.assign(required, { optional });
}

// coordinator/core/mesh/reservations.ts
function reserveJob(state, turn, command) {
  const { job, pool, voters, replaces } = command;
  if (!isValidJobReference(job)) return refuseProperty("id", job, "it is no job id.");
  if (!isValidId(pool)) return refuseProperty("poolId", pool, "it is no pool id.");
  const holder = state.directory.poolOf(job);
  if (holder !== void 0) {
    if (idKey(holder) === idKey(pool)) return { ok: true, value: turn.stamp() };
    if (replaces === void 0 || idKey(replaces) !== idKey(holder)) {
      return refuse("JobExists", `The job ${job} already exists, in the pool ${holder}.`, { Pool: holder });
    }
  }
  const known = state.pools.get(pool);
  if (known?.state === "deleting")
    return refuse("PoolBeingDeleted", `The pool ${known.spec.id} is being deleted.`);
  const noGroup = checkGroup(state, pool, voters);
  if (noGroup !== void 0) return noGroup;
  state.groups.found(turn, poolGroup(pool), voters);
  state.directory.reserve(turn, job, known?.spec.id ?? pool);
  return { ok: true, value: turn.stamp() };
}
function releaseJob(state, turn, command) {
  const holder = state.directory.poolOf(command.job);
  if (holder !== void 0 && idKey(holder) === idKey(command.pool))
    state.directory.release(turn, command.job);
  return { ok: true, value: turn.stamp() };
}
function reportVoters(state, turn, command) {
  const { group, voters, generation } = command;
  return state.groups.report(turn, { group, voters, generation }) ?? { ok: true, value: turn.stamp() };
}

// src/lib/detached.ts
function detached(text) {
  return JSON.parse(JSON.stringify(text));
}

// src/model/blob.ts
var CONTAINER_SHAPE = /^[a-z0-9](?:[a-z0-9]|-(?!-)){1,61}[a-z0-9]$/;
function isValidContainerName(name) {
  return CONTAINER_SHAPE.test(name);
}
function isValidBlobName(name) {
  if (name.length < 1 || name.length > 1024 || /[\u0000-\u001f\u007f\\]/.test(name)) return false;
  return name.split("/").every((part) => part !== "" && part !== "." && part !== "..");
}

// coordinator/core/mesh/blobs.ts
var MANIFEST_SHAPE = /^[0-9a-f]{64}$/;
var Blobs = class {
  #byNumber = /* @__PURE__ */ new Map();
  #byName = /* @__PURE__ */ new Map();
  #lastOrigin;
  #contents;
  #counters;
  #members;
  constructor(contents, counters, members) {
    this.#contents = contents;
    this.#counters = counters;
    this.#members = members;
  }
  loadBlob(rowKey, row) {
    const { container: number, key } = splitBlobRow(rowKey);
    const container = this.#obtain(number);
    const content = this.#contents.loadReference(row.manifest);
    const name = detached(row.name);
    container.entries.set(name, { content, origin: this.#shared(row.origin) });
    if (key.includes("%%")) container.longKeys.set(name, key);
  }
  loadContainer(row) {
    const container = this.#obtain(row.number);
    Object.assign(container, { name: row.name, createdAtMs: row.createdAtMs, sizeBytes: row.sizeBytes });
    this.#byName.set(row.name, container);
  }
  loadDying(row) {
    this.#obtain(row.number);
  }
  containers() {
    return [...this.#byName.entries()].map(([name, { createdAtMs, sizeBytes, entries }]) => ({
      name,
      createdAtMs,
      blobs: entries.size,
      sizeBytes
    }));
  }
  createContainer(turn, name) {
    if (!isValidContainerName(name)) {
      return refuseProperty(
        "container",
        name,
        "3 to 63 lower-case letters, digits and single dashes are wanted."
      );
    }
    if (this.#byName.has(name)) return refuse("ContainerExists", `The container ${name} already exists.`);
    this.#create(turn, name);
    return void 0;
  }
  /** The name is free at once; the blobs of a large container go slice by slice. */
  deleteContainer(turn, name) {
    const container = this.#byName.get(name);
    if (container === void 0) return refuse("ContainerNotFound", `There is no container ${name}.`);
    this.#byName.delete(name);
    container.name = void 0;
    turn.delete(containerRow(name));
    this.#letGo(turn, container);
    return void 0;
  }
  put(turn, command) {
    const refusal = this.#checkPut(command);
    if (refusal !== void 0) return refusal;
    const container = this.#byName.get(command.container) ?? this.#create(turn, command.container);
    for (const blob of command.blobs) this.#putOne(turn, container, blob);
    this.#putContainerRow(turn, container);
    turn.effect({ kind: "blobsChanged" });
    return void 0;
  }
  /** Names that are not there are left out; refused only where none is. */
  deleteBlobs(turn, name, names2) {
    const container = this.#byName.get(name);
    if (container === void 0) return refuse("ContainerNotFound", `There is no container ${name}.`);
    const present = [...new Set(names2)].filter((blob) => container.entries.has(blob));
    if (present.length === 0 && names2.length > 0) {
      return refuse("BlobNotFound", `The container ${name} has no blob ${names2[0] ?? ""}.`);
    }
    for (const blob of present) this.#remove(turn, container, blob);
    this.#putContainerRow(turn, container);
    turn.effect({ kind: "blobsChanged" });
    return void 0;
  }
  sweep(turn) {
    for (const container of [...this.#byNumber.values()]) {
      if (container.name === void 0) this.#letGo(turn, container);
    }
  }
  /** True where a deleted container still has blobs. */
  hasDying() {
    return this.#byNumber.size > this.#byName.size;
  }
  /** Where the rows of a container's blobs are; undefined if there is no such container. */
  rowPrefix(name) {
    const container = this.#byName.get(name);
    return container === void 0 ? void 0 : blobRows(container.number);
  }
  /** Of an escaped prefix, as much as keys hold: a listing checks the rest by name. */
  keyPrefix(escaped) {
    return escaped.slice(0, BLOB_KEY_LENGTH_MAX);
  }
  /** The row of a blob; undefined if there is none. */
  rowKey(name, blob) {
    const container = this.#byName.get(name);
    if (!container?.entries.has(blob)) return void 0;
    return this.#keyOf(container, blob);
  }
  /** A row as people read it. Undefined where its content went since the row was read. */
  record(container, row) {
    const content = this.#contents.get(row.manifest);
    if (content === void 0) return void 0;
    return {
      container,
      name: row.name,
      sizeBytes: content.sizeBytes,
      manifest: row.manifest,
      modifiedAtMs: row.modifiedAtMs,
      holders: this.#contents.holdersOf(content),
      ...row.origin === void 0 ? {} : { origin: row.origin }
    };
  }
  /** Content of a blob by name, from memory alone. */
  contentOf(name, blob) {
    return this.#byName.get(name)?.entries.get(blob)?.content;
  }
  #checkPut({ container, blobs, createContainer }) {
    if (!this.#byName.has(container)) {
      if (!createContainer) return refuse("ContainerNotFound", `There is no container ${container}.`);
      if (!isValidContainerName(container)) {
        return refuseProperty(
          "container",
          container,
          "3 to 63 lower-case letters, digits and single dashes are wanted."
        );
      }
    }
    if (blobs.length > BLOBS_PER_COMMAND_MAX) {
      return refuse("TooLarge", `One command puts at most ${BLOBS_PER_COMMAND_MAX} blobs.`);
    }
    for (const blob of blobs) {
      const refusal = this.#checkBlob(blob);
      if (refusal !== void 0) return refusal;
    }
    return void 0;
  }
  #checkBlob({ name, sizeBytes, manifest, holders }) {
    if (!isValidBlobName(name) || escapeBlobName(name) === void 0) {
      return refuseProperty(
        "blob",
        name,
        "a name has 1 to 1,024 characters in components that are not empty, `.` or `..`."
      );
    }
    if (!MANIFEST_SHAPE.test(manifest))
      return refuseProperty("manifest", manifest, "it is no SHA-256 in hexadecimal.");
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0 || sizeBytes > BLOB_BYTES_MAX) {
      return refuse(
        "TooLarge",
        `The blob ${name} is larger than ${BLOB_BYTES_MAX} bytes, or its size is no count.`
      );
    }
    const known = this.#contents.get(manifest);
    if (known !== void 0 && known.sizeBytes !== sizeBytes) {
      return refuseProperty(
        "sizeBytes",
        String(sizeBytes),
        `the manifest's content has ${known.sizeBytes} bytes.`
      );
    }
    const held = known !== void 0 && this.#contents.holdersOf(known).length > 0;
    if (!held && !holders.some((machine) => this.#members.get(machine) !== void 0)) {
      return refuse("MachineNotFound", `No machine of the mesh holds the content of the blob ${name}.`);
    }
    return void 0;
  }
  #putOne(turn, container, { name, sizeBytes, manifest, holders, origin }) {
    const before2 = container.entries.get(name);
    if (before2 !== void 0 && isStale(origin, before2.origin)) return;
    const content = this.#contents.reference(turn, manifest, sizeBytes, holders);
    const key = this.#keyOf(container, name) ?? this.#newLongKey(turn, container, name);
    if (before2 !== void 0) this.#forget(turn, container, before2);
    container.entries.set(before2 === void 0 ? detached(name) : name, {
      content,
      origin: this.#shared(origin)
    });
    container.sizeBytes += content.sizeBytes;
    const row = {
      name,
      manifest,
      modifiedAtMs: turn.timeMs,
      ...origin === void 0 ? {} : { origin }
    };
    turn.put(key, row);
  }
  #remove(turn, container, name) {
    const entry = container.entries.get(name);
    const key = this.#keyOf(container, name);
    if (entry === void 0 || key === void 0) return;
    this.#forget(turn, container, entry);
    container.entries.delete(name);
    container.longKeys.delete(name);
    turn.delete(key);
  }
  #forget(turn, container, entry) {
    container.sizeBytes -= entry.content.sizeBytes;
    this.#contents.release(turn, entry.content);
  }
  #letGo(turn, container) {
    let left = CONTAINER_DELETE_SLICE;
    for (const name of container.entries.keys()) {
      if (left === 0) break;
      left -= 1;
      this.#remove(turn, container, name);
    }
    if (container.entries.size === 0) {
      this.#byNumber.delete(container.number);
      turn.delete(dyingContainerRow(container.number));
    } else {
      turn.put(dyingContainerRow(container.number), { number: container.number });
    }
    turn.effect({ kind: "blobsChanged" });
  }
  /** Undefined for a long name that has no key yet. */
  #keyOf(container, name) {
    const escaped = escapeBlobName(name) ?? "";
    const key = escaped.length <= BLOB_KEY_LENGTH_MAX ? escaped : container.longKeys.get(name);
    return key === void 0 ? void 0 : blobRows(container.number) + key;
  }
  #newLongKey(turn, container, name) {
    const key = longBlobKey(escapeBlobName(name) ?? "", this.#counters.take(turn, "longName"));
    container.longKeys.set(name, key);
    return blobRows(container.number) + key;
  }
  #create(turn, name) {
    const container = this.#obtain(this.#counters.take(turn, "container"));
    container.name = name;
    container.createdAtMs = turn.timeMs;
    this.#byName.set(name, container);
    this.#putContainerRow(turn, container);
    turn.effect({ kind: "blobsChanged" });
    return container;
  }
  #putContainerRow(turn, { number, name, createdAtMs, sizeBytes }) {
    if (name !== void 0) turn.put(containerRow(name), { number, name, createdAtMs, sizeBytes });
  }
  /** The outputs of one execution come one after the other and have one origin among them. */
  #shared(origin) {
    if (origin === void 0) return void 0;
    const { pool, job, task, epoch } = origin;
    const last = this.#lastOrigin;
    if (last?.pool !== pool || last.job !== job || last.task !== task || last.epoch !== epoch) {
      this.#lastOrigin = { pool: last?.pool === pool ? last.pool : detached(pool), job, task, epoch };
    }
    return this.#lastOrigin;
  }
  #obtain(number) {
    let container = this.#byNumber.get(number);
    if (container === void 0) {
      container = {
        number,
        name: void 0,
        createdAtMs: 0,
        sizeBytes: 0,
        entries: /* @__PURE__ */ new Map(),
        longKeys: /* @__PURE__ */ new Map()
      };
      this.#byNumber.set(number, container);
    }
    return container;
  }
};
function isStale(origin, before2) {
  if (origin === void 0 || before2 === void 0) return false;
  const sameTask = idKey(origin.pool) === idKey(before2.pool) && origin.job === before2.job && origin.task === before2.task;
  return sameTask && origin.epoch < before2.epoch;
}

// coordinator/core/mesh/contents.ts
var HELD_BY_NOBODY = { numbers: [], contents: /* @__PURE__ */ new Set() };
var Contents = class {
  #byManifest = /* @__PURE__ */ new Map();
  #sets = /* @__PURE__ */ new Map();
  #members;
  constructor(members) {
    this.#members = members;
  }
  /** Blob rows come before content rows in key order, and name contents that are not there yet. */
  loadReference(manifest) {
    const content = this.#obtain(manifest, 0);
    content.references += 1;
    return content;
  }
  load(row) {
    const content = this.#obtain(row.manifest, row.sizeBytes);
    content.sizeBytes = row.sizeBytes;
    this.#hold(content, row.holders);
  }
  get size() {
    return this.#byManifest.size;
  }
  get(manifest) {
    return this.#byManifest.get(manifest);
  }
  /** One more blob names it, and these machines hold it. */
  reference(turn, manifest, sizeBytes, holders) {
    const content = this.#obtain(manifest, sizeBytes);
    content.references += 1;
    this.changeHolders(turn, content, holders, []);
    return content;
  }
  /** One blob less names it. */
  release(turn, content) {
    content.references -= 1;
    if (content.references > 0) return;
    this.#drop(content);
    this.#byManifest.delete(content.manifest);
    turn.delete(manifestRow(content.manifest));
  }
  changeHolders(turn, content, add, remove) {
    const removed = new Set(remove);
    const numbers = /* @__PURE__ */ new Set();
    for (const machine of [...this.holdersOf(content), ...add]) {
      const number = this.#members.get(machine)?.number;
      if (number !== void 0 && !removed.has(machine)) numbers.add(number);
    }
    this.#hold(
      content,
      [...numbers].sort((a, b) => a - b)
    );
    const { manifest, sizeBytes, holders } = content;
    turn.put(manifestRow(manifest), { manifest, sizeBytes, holders: holders.numbers });
  }
  holdersOf(content) {
    return this.#machinesOf(content.holders);
  }
  /** Manifests of which the machine holds all. */
  *heldBy(machine) {
    const number = this.#members.get(machine)?.number;
    if (number === void 0) return;
    for (const set of this.#sets.values()) {
      if (!set.numbers.includes(number)) continue;
      for (const content of set.contents) yield content.manifest;
    }
  }
  /** Up to `limit` contents with fewer than `copies` live holders, and one at least to copy from. */
  underCopied(limit, copies, alive) {
    const found = [];
    for (const set of this.#sets.values()) {
      const holders = this.#machinesOf(set).filter(alive);
      if (holders.length === 0 || holders.length >= copies) continue;
      for (const { manifest, sizeBytes } of set.contents) {
        if (found.length >= limit) return found;
        found.push({ manifest, sizeBytes, holders });
      }
    }
    return found;
  }
  #machinesOf(set) {
    const machines = [];
    for (const number of set.numbers) {
      const member = this.#members.byNumber(number);
      if (member !== void 0) machines.push(member.id);
    }
    return machines;
  }
  #obtain(manifest, sizeBytes) {
    const known = this.#byManifest.get(manifest);
    if (known !== void 0) return known;
    const own = detached(manifest);
    const content = { manifest: own, sizeBytes, references: 0, holders: HELD_BY_NOBODY };
    this.#byManifest.set(own, content);
    return content;
  }
  #hold(content, numbers) {
    this.#drop(content);
    content.holders = this.#setOf(numbers);
    content.holders.contents.add(content);
  }
  #drop(content) {
    const { holders } = content;
    holders.contents.delete(content);
    if (holders.contents.size === 0 && holders !== HELD_BY_NOBODY) this.#sets.delete(holders.numbers.join());
  }
  #setOf(numbers) {
    const key = numbers.join();
    let set = this.#sets.get(key);
    if (set === void 0) {
      set = { numbers, contents: /* @__PURE__ */ new Set() };
      this.#sets.set(key, set);
    }
    return set;
  }
};

// coordinator/core/mesh/counters.ts
var Counters = class {
  #row = { timeMs: 0, machine: 0, node: 0, container: 0, longName: 0 };
  load(row) {
    this.#row = row;
  }
  get timeMs() {
    return this.#row.timeMs;
  }
  /** The least number that no node had yet. */
  get nextNode() {
    return this.#row.node + 1;
  }
  advanceTime(turn) {
    if (turn.timeMs > this.#row.timeMs) this.#set(turn, { ...this.#row, timeMs: turn.timeMs });
  }
  take(turn, counter) {
    const taken = this.#row[counter] + 1;
    this.#set(turn, { ...this.#row, [counter]: taken });
    return taken;
  }
  /** The packer names nodes by numbers from `nextNode` on: this one is used up now. */
  useNode(turn, number) {
    this.#set(turn, { ...this.#row, node: Math.max(this.#row.node, number) });
  }
  #set(turn, row) {
    this.#row = row;
    turn.put(COUNTERS_ROW, row);
  }
};

// coordinator/core/mesh/directory.ts
var Directory = class {
  /** Some 150 bytes a job: the key and a slot; the pool's name is shared by all of its jobs. */
  #poolOfJob = /* @__PURE__ */ new Map();
  #jobsOfPool = /* @__PURE__ */ new Map();
  /** One string for each pool, so that a million jobs do not hold a million copies of its name. */
  #poolNames = /* @__PURE__ */ new Map();
  load(row) {
    this.#set(row);
  }
  poolOf(job) {
    return this.#poolOfJob.get(idKey(job));
  }
  jobsOf(pool) {
    return this.#jobsOfPool.get(idKey(pool)) ?? 0;
  }
  reserve(turn, job, pool) {
    this.#unset(job);
    this.#set({ job, pool });
    turn.put(directoryRow(job), { job, pool });
  }
  release(turn, job) {
    this.#unset(job);
    turn.delete(directoryRow(job));
  }
  #set({ job, pool }) {
    const name = this.#poolNames.get(pool) ?? detached(pool);
    this.#poolNames.set(name, name);
    this.#poolOfJob.set(detached(idKey(job)), name);
    this.#jobsOfPool.set(idKey(pool), this.jobsOf(pool) + 1);
  }
  #unset(job) {
    const pool = this.#poolOfJob.get(idKey(job));
    if (pool === void 0) return;
    this.#poolOfJob.delete(idKey(job));
    const left = this.jobsOf(pool) - 1;
    if (left > 0) {
      this.#jobsOfPool.set(idKey(pool), left);
    } else {
      this.#jobsOfPool.delete(idKey(pool));
      this.#poolNames.delete(pool);
    }
  }
};

// coordinator/core/mesh/groups.ts
var FIRST_GENERATION = 0;
var Groups = class {
  /**
   * A group that was given up stays as a record without voters: one of the same name that comes later must have a
   * greater generation, or a machine that slept through the change would take its old log for the new group's.
   */
  #byId = /* @__PURE__ */ new Map();
  load(record) {
    this.#byId.set(record.group, record);
  }
  *all() {
    for (const record of this.#byId.values()) if (record.voters.length > 0) yield record;
  }
  get(group) {
    const record = this.#byId.get(group);
    return record === void 0 || record.voters.length === 0 ? void 0 : record;
  }
  /** Groups in which a machine votes. */
  votesOf(machine) {
    const groups = [];
    for (const record of this.all()) if (record.voters.includes(machine)) groups.push(record.group);
    return groups.sort();
  }
  /** Undefined where a new group could be made of these voters. */
  checkNewVoters(voters, isMember) {
    const distinct = new Set(voters).size === voters.length;
    if (![1, 3, 5].includes(voters.length) || !distinct) {
      return refuseProperty("voters", voters.join(", "), "a group has 1, 3 or 5 different voters.");
    }
    const stranger = voters.find((voter) => !isMember(voter));
    if (stranger !== void 0)
      return refuse("MachineNotFound", `The voter ${stranger} is no machine of the mesh.`);
    return void 0;
  }
  /** Makes the group's record where there is none. */
  found(turn, group, voters) {
    const known = this.#byId.get(group);
    if (known !== void 0 && known.voters.length > 0) return;
    const generation = known === void 0 ? FIRST_GENERATION : known.generation + 1;
    this.#set(turn, { group, founders: voters, voters, generation });
    turn.event("group.founded", `The group ${group} begins with ${voters.length} voters.`, { group });
  }
  /**
   * The group says who votes now. Any count is taken: the record follows what is, and a group passes through 2 or 4
   * voters on its way. A report of an older generation is that of a group that was recovered or given up since.
   */
  report(turn, reported) {
    const { group, voters, generation } = reported;
    if (!isGroupId(group)) return refuseProperty("group", group, "it is not `mesh` or `pool:<id>`.");
    if (voters.length === 0) return refuseProperty("voters", "", "a group has a voter.");
    const known = this.#byId.get(group);
    if (known !== void 0) {
      const givenUp = known.voters.length === 0;
      if (generation < known.generation || givenUp && generation === known.generation) {
        return refuse(
          "OperationInvalidForCurrentState",
          `The group ${group} is at generation ${known.generation}; a report of generation ${generation} comes too late.`
        );
      }
      if (generation === known.generation && sameMachines(voters, known.voters)) return void 0;
    }
    const founders = known?.generation === generation ? known.founders : voters;
    this.#set(turn, { group, founders, voters, generation });
    return void 0;
  }
  giveUp(turn, group) {
    const known = this.get(group);
    if (known !== void 0) this.#set(turn, { ...known, voters: [] });
  }
  #set(turn, record) {
    this.#byId.set(record.group, record);
    turn.put(groupRow(record.group), record);
    turn.effect({ kind: "groupsChanged", group: record.group });
  }
};
function isGroupId(group) {
  return group === MESH_GROUP || group.startsWith("pool:") && isValidId(group.slice(5)) && group === group.toLowerCase();
}
function sameMachines(a, b) {
  return a.length === b.length && a.every((machine) => b.includes(machine));
}

// coordinator/core/mesh/requests.ts
var Requests = class {
  /** In order of arrival, as Map keeps it. Sequence numbers have no gap: the oldest is `#next - #answers.size`. */
  #answers = /* @__PURE__ */ new Map();
  #kept;
  #next = 0;
  constructor(kept = REQUEST_IDS_KEPT) {
    this.#kept = kept;
  }
  /** Rows come in key order, which is the order of arrival. */
  load(row) {
    this.#answers.set(detached(row.id), row.outcome);
    this.#next = row.sequence + 1;
  }
  answerOf(id) {
    return this.#answers.get(id);
  }
  remember(turn, id, outcome) {
    if (this.#answers.size >= this.#kept) {
      const oldest = this.#answers.keys().next().value;
      turn.delete(requestRow(this.#next - this.#answers.size));
      if (oldest !== void 0) this.#answers.delete(oldest);
    }
    const sequence = this.#next;
    this.#next += 1;
    this.#answers.set(detached(id), outcome);
    turn.put(requestRow(sequence), { id, sequence, outcome });
  }
};

// coordinator/core/mesh/tokens.ts
var Tokens = class {
  #byId = /* @__PURE__ */ new Map();
  #byPeer = /* @__PURE__ */ new Map();
  load(token) {
    this.#index(token);
  }
  all() {
    return this.#byId.values();
  }
  get(id) {
    return this.#byId.get(id);
  }
  byPeer(peer) {
    return this.#byPeer.get(peer);
  }
  create(turn, command) {
    const { id, peer, expiresAtMs, uses, createdBy } = command;
    if (!isValidId(id) || this.#byId.has(id)) {
      return refuseProperty("token.id", id, "it is taken, or not an id.");
    }
    if (this.#byPeer.has(peer)) return refuseProperty("token.peer", peer, "another token has this identity.");
    if (!Number.isSafeInteger(uses) || uses < 1 || uses > TOKEN_USES_MAX) {
      return refuseProperty("token.uses", String(uses), `it is not between 1 and ${TOKEN_USES_MAX}.`);
    }
    if (!Number.isFinite(expiresAtMs) || expiresAtMs <= turn.timeMs) {
      return refuseProperty("token.expiresAtMs", String(expiresAtMs), "it lies in the past.");
    }
    if (this.#byId.size >= TOKENS_OPEN_MAX) {
      return refuse("TooManyRequests", `${TOKENS_OPEN_MAX} join tokens are open: revoke some first.`);
    }
    this.#set(turn, { id, peer, expiresAtMs, usesLeft: uses, createdBy });
    return void 0;
  }
  /** One use less; after the last one the identity is off the allow-list. */
  use(turn, token) {
    if (token.usesLeft > 1) this.#set(turn, { ...token, usesLeft: token.usesLeft - 1 });
    else this.remove(turn, token);
  }
  remove(turn, token) {
    this.#byId.delete(token.id);
    this.#byPeer.delete(token.peer);
    turn.delete(tokenRow(token.id));
    turn.effect({ kind: "allowListChanged" });
  }
  sweep(turn) {
    for (const token of [...this.#byId.values()]) {
      if (token.expiresAtMs <= turn.timeMs) this.remove(turn, token);
    }
  }
  /** When the next token expires. */
  dueAtMs() {
    let due = Number.POSITIVE_INFINITY;
    for (const token of this.#byId.values()) due = Math.min(due, token.expiresAtMs);
    return due;
  }
  #set(turn, token) {
    this.#index(token);
    turn.put(tokenRow(token.id), token);
    turn.effect({ kind: "allowListChanged" });
  }
  #index(token) {
    this.#byId.set(token.id, token);
    this.#byPeer.set(token.peer, token);
  }
};

// coordinator/core/mesh/state.ts
var MeshState = class {
  /** Undefined before `mesh.init`. */
  settings;
  counters = new Counters();
  members = new Members();
  tokens = new Tokens();
  pools = new Pools();
  allotments = new Allotments();
  groups = new Groups();
  directory = new Directory();
  contents = new Contents(this.members);
  blobs = new Blobs(this.contents, this.counters, this.members);
  requests;
  constructor(requestIdsKept) {
    this.requests = new Requests(requestIdsKept);
  }
  /** One row in. The casts rest on the store's checksums: a row that passes them is one that this code wrote. */
  load(key, value) {
    const row = decode(value);
    switch (key[0]) {
      case "a":
        this.allotments.load(row);
        break;
      case "b":
        this.blobs.loadBlob(key, row);
        break;
      case "c":
        this.blobs.loadContainer(row);
        break;
      case "d":
        this.directory.load(row);
        break;
      case "g":
        this.groups.load(row);
        break;
      case "h":
        this.contents.load(row);
        break;
      case "k":
        this.counters.load(row);
        break;
      case "m":
        this.members.load(row);
        break;
      case "p":
        this.pools.load(row);
        break;
      case "q":
        this.requests.load(row);
        break;
      case "s":
        this.settings = row;
        break;
      case "t":
        this.tokens.load(row);
        break;
      case "x":
        this.blobs.loadDying(row);
        break;
      default:
        throw new Error(`a row of the mesh group has the unknown key ${JSON.stringify(key)}`);
    }
  }
};

// coordinator/core/mesh/machine.ts
var MeshMachine = class {
  #state;
  #alive;
  /** Made when asked for after a change; the gater asks at every connection. */
  #allowed;
  constructor(options = {}) {
    this.#state = new MeshState(options.requestIdsKept);
    this.#alive = options.alive ?? (() => true);
  }
  // --- StateMachine ---------------------------------------------------------------------------------------------
  load(key, value) {
    this.#state.load(key, value);
  }
  /** Nothing is left to derive: each row brought its own indexes along. */
  loaded() {
    this.#allowed = void 0;
  }
  apply(index2, batch) {
    const turn = new Turn(index2, Math.max(batch.timeMs, this.#state.counters.timeMs));
    this.#state.counters.advanceTime(turn);
    const results = batch.commands.map(({ requestId, command }) => this.#answer(turn, requestId, command));
    this.#allowed = void 0;
    return { results, writes: turn.writes(), events: turn.events(), effects: turn.effects() };
  }
  async query(name, argument, rows2) {
    if (!isMeshQuery(name)) throw new ShoalError("InvalidArgument", `The mesh group has no query ${name}.`);
    return queryMesh({ state: this.#state, rows: rows2, alive: this.#alive }, name, argument);
  }
  dueAtMs() {
    const { tokens, pools, blobs, counters } = this.#state;
    const due = Math.min(
      tokens.dueAtMs(),
      pools.dueAtMs(),
      blobs.hasDying() ? counters.timeMs : Number.POSITIVE_INFINITY
    );
    return Number.isFinite(due) ? due : void 0;
  }
  #answer(turn, requestId, command) {
    const before2 = requestId === null ? void 0 : this.#state.requests.answerOf(requestId);
    if (before2 !== void 0) return before2;
    const outcome = this.#execute(turn, command);
    if (requestId !== null) this.#state.requests.remember(turn, requestId, outcome);
    return outcome;
  }
  /**
   * A committed entry is applied by every replica at every restart: one malformed command that threw would take the
   * mesh down for good. Commands check before they change, so a wrong shape shows before anything was touched.
   */
  #execute(turn, command) {
    try {
      return executeMesh(this.#state, turn, command) ?? wrongGroup(command);
    } catch (thrown) {
      if (!(thrown instanceof TypeError)) throw thrown;
      return refuse(
        "InvalidRequestBody",
        `The command ${command.kind} has the wrong shape: ${thrown.message}`
      );
    }
  }
  // --- What the driver of every machine reads -----------------------------------------------------------------------
  /** Undefined before `mesh.init` was applied. */
  settings() {
    return this.#state.settings;
  }
  /** The leader's wall clock of the last entry, ms. */
  timeMs() {
    return this.#state.counters.timeMs;
  }
  machines() {
    return [...this.#state.members.all()];
  }
  machine(id) {
    return this.#state.members.get(id);
  }
  machineByPeer(peer) {
    return this.#state.members.byPeer(peer);
  }
  /** Case does not matter. */
  machineByName(name) {
    return this.#state.members.byName(name);
  }
  /** Members and the temporary identities of open tokens. A new set after each change. */
  allowedPeers() {
    if (this.#allowed === void 0) {
      const peers = /* @__PURE__ */ new Set();
      for (const member of this.#state.members.all()) peers.add(member.peer);
      for (const token of this.#state.tokens.all()) peers.add(token.peer);
      this.#allowed = peers;
    }
    return this.#allowed;
  }
  /** The open token of a temporary identity. It may have expired since the last sweep: compare `expiresAtMs`. */
  tokenByPeer(peer) {
    return this.#state.tokens.byPeer(peer);
  }
  pools() {
    return [...this.#state.pools.all()];
  }
  pool(id) {
    return this.#state.pools.get(id);
  }
  allotments(pool) {
    return pool === void 0 ? [...this.#state.allotments.all()] : this.#state.allotments.ofPool(pool);
  }
  allotment(node) {
    return this.#state.allotments.get(node);
  }
  allotmentsOn(machine) {
    return this.#state.allotments.onMachine(machine);
  }
  /** For the packer: the least number that no node's name had. */
  nextNodeNumber() {
    return this.#state.counters.nextNode;
  }
  groups() {
    return [...this.#state.groups.all()];
  }
  group(id) {
    return this.#state.groups.get(id);
  }
  /** The pool a job id is reserved for. */
  jobPool(job) {
    return this.#state.directory.poolOf(job);
  }
  /** What a blob's name stands for, without its row. */
  blob(container, name) {
    const content = this.#state.blobs.contentOf(container, name);
    if (content === void 0) return void 0;
    const { manifest, sizeBytes } = content;
    return { manifest, sizeBytes, holders: this.#state.contents.holdersOf(content) };
  }
  /** Manifests of which the machine is named as a holder. Take them before the next `apply`. */
  blobsHeldBy(machine) {
    return this.#state.contents.heldBy(machine);
  }
  manifestHolders(manifest) {
    const content = this.#state.contents.get(manifest);
    return content === void 0 ? [] : this.#state.contents.holdersOf(content);
  }
  /** False once no blob names it: its chunks may be collected. */
  isReferenced(manifest) {
    return this.#state.contents.get(manifest) !== void 0;
  }
  /** Up to `limit` contents with fewer live copies than `BLOB_COPIES` (or than there are live machines), and with one at least. */
  underCopied(limit, alive) {
    let up = 0;
    for (const member of this.#state.members.all()) if (alive(member.id)) up += 1;
    return this.#state.contents.underCopied(limit, Math.min(BLOB_COPIES, up), alive);
  }
};
function executeMesh(state, turn, command) {
  if (state.settings === void 0 && command.kind !== "mesh.init") return refuse("NotInitialized");
  switch (command.kind) {
    case "mesh.init":
      return initMesh(state, turn, command);
    case "mesh.sweep":
      state.tokens.sweep(turn);
      state.pools.sweep(turn);
      state.blobs.sweep(turn);
      return { ok: true, value: turn.stamp() };
    case "token.create":
      return createToken(state, turn, command);
    case "token.revoke":
      return revokeToken(state, turn, command);
    case "machine.join":
      return joinMachine(state, turn, command);
    case "machine.update":
      return updateMachine(state, turn, command);
    case "machine.drain":
      return drainMachine(state, turn, command);
    case "machine.remove":
      return removeMachine(state, turn, command);
    case "group.voters":
      return reportVoters(state, turn, command);
    case "pool.add":
      return addPool(state, turn, command);
    case "pool.patch":
      return patchPool(state, turn, command);
    case "pool.resize":
      return resizePool(state, turn, command);
    case "pool.stopResize":
      return stopResize(state, turn, command);
    case "pool.removeNodes":
      return removeNodes(state, turn, command);
    case "pool.delete":
      return deletePool(state, turn, command);
    case "pool.erase":
      return erasePool(state, turn, command);
    case "allot":
      return allot(state, turn, command);
    case "node.released":
      return releaseNodes(state, turn, command);
    case "job.reserve":
      return reserveJob(state, turn, command);
    case "job.release":
      return releaseJob(state, turn, command);
    case "container.create":
      return stamped(turn, state.blobs.createContainer(turn, command.name));
    case "container.delete":
      return stamped(turn, state.blobs.deleteContainer(turn, command.name));
    case "blob.put":
      return stamped(turn, state.blobs.put(turn, command));
    case "blob.delete":
      return stamped(turn, state.blobs.deleteBlobs(turn, command.container, command.names));
    case "blob.holders":
      return changeHolders(state, turn, command);
    default:
      return unknownCommand(command);
  }
}
function changeHolders(state, turn, command) {
  for (const { manifest, add, remove } of command.changes) {
    const content = state.contents.get(manifest);
    if (content !== void 0) state.contents.changeHolders(turn, content, add, remove);
  }
  turn.effect({ kind: "blobsChanged" });
  return { ok: true, value: turn.stamp() };
}
function stamped(turn, refusal) {
  return refusal ?? { ok: true, value: turn.stamp() };
}
function unknownCommand(_command) {
  return void 0;
}
function wrongGroup(command) {
  return refuse("InvalidRequestBody", `The mesh group has no command ${command.kind}.`);
}

// test/unit/mesh-core/mem-scratch.ts
import { createHash } from "node:crypto";
var gc = globalThis.gc;
var offer = (n) => ({ id: `peer${n}/00000001`, peer: `peer${n}`, name: n, capacity: { cores: 4, memoryBytes: 8e9, diskBytes: 1e9, gpus: 0, labels: [], isolation: "cgroup", operatingSystem: "linux" }, addresses: [], version: "1" });
var m = new MeshMachine();
m.loaded();
var rows = /* @__PURE__ */ new Map();
var index = 0;
var worst = 0;
var run = (command) => {
  const batch = decode(encode({ timeMs: 1e3, commands: [{ requestId: null, command }] }));
  const t = performance.now();
  const a = m.apply(++index, batch);
  worst = Math.max(worst, performance.now() - t);
  if (!a.results[0].ok) throw new Error(JSON.stringify(a.results[0]));
  return a;
};
run({ kind: "mesh.init", settings: { meshId: "m", accountName: "a", accountKey: "k" }, machine: offer("a") });
for (let k = 0; k < 8; k++) {
  run({ kind: "token.create", id: `t${k}`, peer: `q${k}`, expiresAtMs: 2e3, uses: 1, createdBy: "x" });
  run({ kind: "machine.join", tokenPeer: `q${k}`, machine: offer(`b${k}`) });
}
var N = 1e6;
var keep = process.argv[2] === "load";
gc();
var before = process.memoryUsage().heapUsed;
var t0 = performance.now();
for (let i = 0; i < N; i += 1e3) {
  const blobs = Array.from({ length: 1e3 }, (_, n) => ({ name: `results/run-0001/part-${String(i + n).padStart(17, "0")}`, sizeBytes: 12345, manifest: createHash("sha256").update(String(i + n)).digest("hex"), holders: [`peerb${(i + n) % 8}/00000001`, "peera/00000001"], ...process.argv[3] ? { origin: { pool: "default", job: 1, task: i + n, epoch: i + n } } : {} }));
  const a = run({ kind: "blob.put", container: "box", blobs, createContainer: true });
  if (keep) {
    for (const w of a.writes) if (w.kind === "put") rows.set(w.key, new Uint8Array(w.value));
  }
}
console.log("apply ms per 1000", (performance.now() - t0) / (N / 1e3), "worst apply", worst);
gc();
gc();
if (!keep) console.log("bytes/blob after apply", (process.memoryUsage().heapUsed - before) / N);
else {
  const m2 = new MeshMachine();
  const keys = [...rows.keys()].sort();
  gc();
  gc();
  const b2 = process.memoryUsage().heapUsed;
  const t = performance.now();
  for (const key of keys) m2.load(key, rows.get(key));
  m2.loaded();
  console.log("load ms", performance.now() - t);
  gc();
  gc();
  console.log("bytes/blob after load (+sort garbage)", (process.memoryUsage().heapUsed - b2) / N);
  const t3 = performance.now();
  m2.underCopied(100, (x) => x !== "peera/00000001");
  console.log("underCopied ms", performance.now() - t3);
  globalThis.m2 = [m2, keys, rows];
}
globalThis.m = m;
