/**
 * Every bound of the program, with its unit in the name and its reason beside it. One section a module.
 */

// --- Mesh -------------------------------------------------------------------------------------------------------
/** A gossip publish above this is refused: gossipsub kills the receiver's stream at 4 MiB, and big messages cost CPU at every hop. */
export const GOSSIP_BYTES_MAX = 64 * 1024;
/** A frame of the control stream. Larger values travel as chunks. */
export const FRAME_BYTES_MAX = 8 * 1024 * 1024;
/** Frames queued for one peer before the sender is told to wait. */
export const PEER_QUEUE_BYTES_MAX = 64 * 1024 * 1024;
/** Requests in flight from one peer; more are answered TooManyRequests. */
export const PEER_REQUESTS_MAX = 4096;
/** Default time an RPC may take. */
export const RPC_TIMEOUT_MS = 10_000;
/** A silent peer is cut and dialled anew after this long without a frame. */
export const PEER_SILENCE_MS = 4_000;
/** How often silence is counted. A stalled loop or a suspended machine counts as one such turn, whatever it lasted. */
export const LINK_TICK_MS = 500;
/** A link that sent nothing for this long sends a ping of five bytes. */
export const LINK_IDLE_PING_MS = 1_000;
/** From a new connection to the peer's hello. */
export const LINK_OPEN_MS = 5_000;
/** A link that is doubted (its peer dials anew) must answer a ping within this time. */
export const LINK_PROBE_MS = 1_000;
/** A link whose gossip streams are missing for this long is closed and dialled anew: gossipsub does not repair them. */
export const GOSSIP_STREAMS_MISSING_MS = 6_000;
/** Channel and method names on the control stream: their length is one byte. */
export const CHANNEL_BYTES_MAX = 255;
/** Redial back-off: full jitter between zero and a bound that doubles from the first to the second. */
export const REDIAL_MIN_MS = 250;
export const REDIAL_MAX_MS = 15_000;
/** The peer with the larger id lets the other dial first for this long, which saves most pairs a second handshake. */
export const REDIAL_SECOND_WAIT_MS = 2_000;
/** A link that lasted this long starts the back-off afresh when it is lost. */
export const LINK_STEADY_MS = 5_000;
/** Dials of the redial loop at once: of peers that did not fail yet, and of others. */
export const DIALS_FIRST_MAX = 4;
export const DIALS_AGAIN_MAX = 16;
/** One address of one dial. */
export const DIAL_ADDRESS_MS = 5_000;
export const PEER_ADDRESSES_MAX = 16;
export const ADDRESS_LENGTH_MAX = 256;
/** Former lives of a peer that are remembered, to know one that comes back. */
export const PEER_LIVES_KEPT = 16;
/** A former life that comes back so often is that of a second process; once might be a hello that was long on its way. */
export const PEER_RETURNS_MAX = 2;
/** Signs of life of a peer's process, from one try of a second process to the next, after which the second is refused for good. */
export const PEER_ANSWERS_MIN = 2;
/** Members that a machine remembers beside its store; any one of them leads back to all others. */
export const KNOWN_MEMBERS_MAX = 1_024;
/** Peers whose addresses are kept while they are not (yet) on the allow-list. */
export const STRANGER_ADDRESSES_MAX = 1_024;
/** New connections from one host in a second: several agents may share an address, but a handshake costs milliseconds. */
export const INBOUND_CONNECTIONS_PER_SECOND_MAX = 200;
/** Handshakes in progress at once. */
export const INBOUND_HANDSHAKES_MAX = 256;
/** Simultaneous connections of one peer until its smaller id has chosen one. */
export const CONNECTIONS_PER_PEER_MAX = 4;
/** Unread gossip of one topic; beyond it the oldest goes first: newer news supersedes it and state is compared by RPC anyway. */
export const GOSSIP_QUEUE_MAX = 1_024;
/** Gossip messages verified in one turn of the loop (about 0.1 ms each), so that a flood cannot starve the links. */
export const GOSSIP_VERIFIED_PER_TURN_MAX = 32;
/** Topics a peer may name, over all peers. */
export const GOSSIP_TOPICS_MAX = 4_096;
/** Sequence numbers remembered per sender against replay. */
export const GOSSIP_REPLAY_WINDOW = 4_096;
/** One RPC of gossipsub on the wire; several messages may share it. */
export const GOSSIP_RPC_BYTES_MAX = 8 * 1024 * 1024;
/** Unsent gossip for one peer. */
export const GOSSIP_OUTBOUND_BYTES_MAX = 4 * 1024 * 1024;
/** A bulk ticket must be used within this time, once. */
export const BULK_TICKET_MS = 30_000;
export const BULK_TICKETS_MAX = 1_024;
/** Bulk sockets that came in, handshakes included. */
export const BULK_SOCKETS_MAX = 4_096;
/** From a ticket to an open bulk socket. */
export const BULK_CONNECT_MS = 3_000;
export const BULK_HEADER_BYTES_MAX = 64 * 1024;
/** Bytes in flight on a bulk stream inside the mesh connection, where yamux itself has no back-pressure. */
export const BULK_CREDIT_BYTES = 8 * 1024 * 1024;
/** A way to open bulk streams that failed is not tried again for this long. */
export const BULK_PATH_RETRY_MS = 60_000;

// --- Consensus --------------------------------------------------------------------------------------------------
/** One tick of every Raft group. Each wakes the process: at 50 ms an idle agent cost half as much again. */
export const RAFT_TICK_MS = 100;
/** Leader heartbeats, in ticks: three to an election timeout. Each is a socket write, and those are most of what an idle agent costs. */
export const RAFT_HEARTBEAT_TICKS = 3;
/** Beats between machines whose shared groups are quiet, in ticks: one may miss its moment, and an election timeout is not over. */
export const RAFT_BEAT_TICKS = 4;
/** A machine that was sent anything of Raft within so many ticks needs no beat: the next is due before it could miss one. */
export const RAFT_BEAT_SPARED_TICKS = 2;
/** A leader that has had nothing to do for so many ticks lets its group fall quiet; work that comes by the second keeps it awake. */
export const RAFT_QUIET_TICKS = 10;
/** Shortest election timeout, in ticks; the longest is twice that. A second on a loaded 2-core machine; a leader whose connection drops is suspected at once. */
export const RAFT_ELECTION_TICKS = 10;
/** Bytes of one append message. */
export const RAFT_APPEND_BYTES_MAX = 1024 * 1024;
/** Appends to learners between two ticks of a leader; with more of them entries gather. All machines are learners of the mesh group: at some 20 µs each way this is a fifth of a core, whatever the mesh's size. */
export const LEARNER_APPENDS_PER_TICK = 512;
/** Entries of so many bytes together, once so many members of a group were sent them, are deflated for all others; as many lists of entries are remembered as members may be at different places of the log. */
export const SHARED_ENTRIES_BYTES_MIN = 4 * 1024;
export const SHARED_ENTRIES_MEMBERS_MIN = 8;
export const SHARED_ENTRIES_KEPT = 32;
/** Learners that one round of heartbeats reaches; with more of them each gets one every few rounds, and is as much more patient. */
export const LEARNER_HEARTBEATS_PER_ROUND = 512;
/** Learners that one change of a configuration adds. */
export const LEARNERS_ADDED_MAX = 1_000;
/** Append messages in flight to one follower. */
export const RAFT_INFLIGHT_MAX = 32;
/** Proposals waiting for their commit in one group; more are refused with ServerBusy. */
export const RAFT_PROPOSALS_MAX = 10_000;
/** One entry; a larger command is refused with TooLarge. Above the API's body limit, below a frame. */
export const RAFT_ENTRY_BYTES_MAX = 6 * 1024 * 1024;
/** A leader's commands carry a time at most this far beyond the median of the voters' clocks. */
export const CLOCK_AHEAD_MS_MAX = 60_000;
/** What a peer's clock showed is believed for so long after it was heard. */
export const CLOCK_READING_KEPT_MS = 60_000;
/** Applied entries kept behind the applied index, for slow followers, before the log is cut. */
export const RAFT_LOG_KEEP_ENTRIES = 20_000;
/** The same in bytes: a log is held in memory whole. */
export const RAFT_LOG_KEEP_BYTES = 32 * 1024 * 1024;
/** A follower whose connection to the leader dropped asks for pre-votes after 1 to this many ticks, drawn at random so that not all ask at once. */
export const RAFT_SUSPECT_TICKS_MAX = 3;
/** For so many ticks of its own pre-vote a replica refuses one to an equal of greater id: enough for a round trip and a synced write. */
export const RAFT_YIELD_TICKS = 3;
/** A message of a term further ahead is dropped: nobody misses so many elections (one a tick for six years). */
export const RAFT_TERM_STEP_MAX = 2 ** 32;
/** Terms that a recovered group goes ahead: elections that the lost voters held unseen by the surviving copy. */
export const RECOVERY_TERM_STEP = 1_000_000;
/** Log entries that a recovered group goes ahead: what the lost voters may have written unseen by the surviving copy. */
export const RECOVERY_INDEX_STEP = 1_000_000_000;
/** Rows of applied entries wait so long for a write to share, and so many group writes at most. */
export const ROWS_GATHER_MS = 50;
export const ROWS_WAITING_MAX = 64;
/** A learner whose log is this near to the leader's end may vote. */
export const RAFT_CAUGHT_UP_ENTRIES = 50;
/** How often the mesh coordinator packs nodes even where nothing seems to have changed. */
export const MESH_PACK_PERIOD_MS = 1_000;
/** Packings of nodes that something calls for are this far apart: each looks at all machines, and where many come or go each of them calls. */
export const MESH_PACK_GATHER_MS = 50;
/** In a mesh of more machines than the first a look at a group's members, which goes through them all, waits for so long to answer what gathers meanwhile. */
export const MACHINES_WATCHED_MAX = 64;
export const CARETAKER_GATHER_MS = 100;
/** A list of the machines and who of them is up serves all groups that are looked at within this time: one look for many groups. */
export const CENSUS_KEPT_MS = 20;
/** How often a leader looks whether its group's voters are as they should be. */
export const CARETAKER_PERIOD_MS = 1_000;
/** A request whose group has no leader asks the voters first after so long, then each time twice as long, up to the second. They hold the answer back. */
export const LEADER_SEARCH_FIRST_MS = 60;
export const LEADER_SEARCH_MAX_MS = 2_000;
/** Machines that a search names as tried without success. */
export const LEADER_SEARCH_TRIED_MAX = 16;
/** How often a machine that hears no leader of the mesh group asks a member who the members are. */
export const ROLL_ASK_PERIOD_MS = 1_000;
/** One such question; a hung member is not waited for longer. */
export const ROLL_ASK_TIMEOUT_MS = 2_000;
/** Voters of the mesh group that are asked for in such a question; it has 5 at most, and 10 while they change. */
export const ROLL_MISSING_MAX = 16;
/** Rows of one slice of a snapshot on its way to a follower. */
export const SNAPSHOT_SLICE_BYTES = 1024 * 1024;
/** A follower writes a slice within this time, or the snapshot begins anew. */
export const SNAPSHOT_SLICE_TIMEOUT_MS = 20_000;

// --- Flight record ----------------------------------------------------------------------------------------------
/** Deflated log entries that a group keeps behind its log, for replays: hours of a busy pool, years of a quiet one. */
export const FLIGHT_RECORD_BYTES_MAX = 32 * 1024 * 1024;
/** Entries that are deflated together: some milliseconds, during which the loop does nothing else. */
export const FLIGHT_SEGMENT_BYTES = 256 * 1024;
/** State rows copied as the beginning of a record, those of some 200,000 tasks. A larger state has none once half a record is full. */
export const FLIGHT_BASE_BYTES_MAX = 64 * 1024 * 1024;
/** Rows of one write of such a copy; turns go between two writes. */
export const FLIGHT_BASE_SLICE_BYTES = 256 * 1024;

// --- Replay -----------------------------------------------------------------------------------------------------
/** Violations that a replay names; the rest it counts. */
export const REPLAY_PROBLEMS_MAX = 100;
/** Rows of state for each entry between two checks of the whole state: the checks then cost about as much as the replay. */
export const REPLAY_ROWS_PER_CHECK = 64;

// --- Leases -----------------------------------------------------------------------------------------------------
/** How often a machine says what its nodes run. */
export const HEARTBEAT_INTERVAL_MS = 1_000;
/** How long an acknowledged heartbeat lets a node run its tasks, counted from when the heartbeat was sent. */
export const LEASE_MS = 3_000;
/** The coordinator waits this much longer than a lease (clocks may differ by 10 %). */
export const LEASE_MARGIN = 1.1;
/** From SIGKILL of a lease's processes to the last one gone. */
export const KILL_GRACE_MS = 500;

// --- Assignments --------------------------------------------------------------------------------------------------
/** One dispatch message to one machine; small enough that several machines' fit into one publish. */
export const DISPATCH_BYTES_MAX = 40 * 1024;
/** A machine that has not said by then that it took a dispatch gets it the other way too. */
export const DISPATCH_TAKEN_WAIT_MS = 50;
/** In a pool of more nodes than the first assignments go by stream only: a publish reaches every machine of the pool, so that bytes for each task grow with it. Gossip brings what was not taken up by the second. */
export const DISPATCH_GOSSIP_NODES_MAX = 32;
export const DISPATCH_TAKEN_WAIT_WIDE_MS = 250;
/** So few tasks of one turn go by stream first; more by gossip. */
export const DISPATCH_STREAMED_ITEMS_MAX = 8;
/** Assign commands of a pool, and reports of one machine, are this far apart; the first after a pause goes at once. */
export const GATHER_MS = 5;
/** Where the last of them held so many items that work flows, the next may wait for so long: nodes have more tasks ahead. */
export const FLOW_ITEMS_MIN = 4;
export const FLOW_GATHER_MS = 40;
/** Outcomes, and rows of what is recorded, wait so long for others to share a write with: nothing rests on them but the memory of the runner. */
export const OUTBOX_GATHER_MS = 50;
/** Tasks of one assign command. */
export const ASSIGN_ITEMS_MAX = 1_000;
/** Specifications of recently added tasks that a coordinator keeps in memory, so that their dispatch reads no disk. */
export const SPEC_CACHE_BYTES_MAX = 32 * 1024 * 1024;
/** A machine whose heartbeats were not acknowledged for this long takes its link for the reason and says the next one by gossip. Above an interval, and such that one more heartbeat comes before a lease ends. */
export const HEARTBEAT_DOUBT_MS = 1_200;
/** How long a coordinator gathers heartbeats before it acknowledges them: all of that time rest on one round of its voters. */
export const ACKNOWLEDGE_DELAY_MS = 250;
/** Machines whose heartbeats one publish acknowledges; at their longest names it stays below GOSSIP_BYTES_MAX. */
export const ACKNOWLEDGED_PER_PUBLISH_MAX = 100;
/** Nodes of one mirror command: half a megabyte. */
export const MIRROR_NODES_MAX = 2_000;
/** A difference between a node's digest and the coordinator's is looked into once nothing was sent either way for this long. */
export const RECONCILE_QUIET_MS = 400;
/** Executions of one report. */
export const REPORT_ITEMS_MAX = 1_000;
/** A report that found no coordinator is sent again after this long. */
export const REPORT_RETRY_MS = 200;
/** An execution that ends within this time is reported once, not twice. */
export const STARTED_REPORT_DELAY_MS = 100;
/** From SIGTERM to SIGKILL when a client ends a task. */
export const STOP_GRACE_MS = 2_000;
/** Rows that one sweep command may touch. */
export const SWEEP_ITEMS_MAX = 2_000;

// --- Jobs and tasks (Azure Batch's own limits where it has them) --------------------------------------------------
export const ID_LENGTH_MAX = 64;
export const TASKS_PER_ADD_MAX = 100;
/** For our own client, which says so in a header. */
export const TASKS_PER_ADD_EXTENDED_MAX = 5_000;
export const PAGE_ITEMS_MAX = 1_000;
export const DEPENDENCY_IDS_LENGTH_MAX = 64_000;
export const DEPENDENCY_RANGES_MAX = 1_000;
/** A job's and a task's number share one 53-bit integer in memory; numbers of deleted ones are not used again. */
export const JOB_NUMBER_MAX = 2 ** 25 - 1;
export const TASK_NUMBER_MAX = 2 ** 28 - 1;
/** Tasks that one page of a filtered list looks at by their hot columns, and by their rows: then the page ends, be it empty. */
export const LIST_SCAN_HOT_MAX = 50_000;
export const LIST_SCAN_ROWS_MAX = 1_000;
/** The same in comparisons of its filter, some 60 ns each: a long filter looks at fewer tasks. */
export const LIST_SCAN_COMPARISONS_MAX = 250_000;
/** Dependencies that an explanation names; the rest is counted. */
export const EXPLAIN_DEPENDENCIES_MAX = 10;
export const TASK_SLOTS_PER_NODE_MAX = 256;
export const ENVIRONMENT_BYTES_MAX = 64 * 1024;
/** How often an agent looks whether a coordination command has succeeded; while it waits it does nothing else. */
export const COORDINATION_POLL_MS = 20;
/** A command that a launcher is to run, as JSON: what the kernel takes as one argument, and room for escapes. */
export const LAUNCHER_COMMAND_LENGTH_MAX = 512 * 1024;
/** At once, of one launcher; mpirun opens one, or as many as its tree has branches. */
export const LAUNCHER_CONNECTIONS_MAX = 256;
/** Within this a connection is made, and says what it wants. */
export const LAUNCHER_SILENCE_MS = 30_000;
/** After a command has ended, for the last of its output, where something that it left holds that open. */
export const LAUNCHER_OUTPUT_WAIT_MS = 500;
/** Ports of launchers, one of them for each run of a task: below those that the kernel gives to outgoing connections. */
export const LAUNCHER_PORT_MIN = 10_000;
export const LAUNCHER_PORTS = 10_000;
/** Nodes of one multi-instance task; Azure Batch's agent 1.11.11 has the same. */
export const TASK_INSTANCES_MAX = 150;
export const COMMAND_LINE_BYTES_MAX = 128 * 1024;
/** Tasks assigned to a node ahead of its free slots, per slot, at most. */
export const PREFETCH_PER_SLOT_MAX = 64;
/** Assigned-ahead work a node holds, in expected run time. */
export const PREFETCH_BACKLOG_MS = 250;
/** Answers kept so that a repeated request has one effect. */
export const REQUEST_IDS_KEPT = 20_000;
/** The same bound in bytes: an add of 5,000 tasks that all fail has a long answer. */
export const REQUEST_ANSWERS_BYTES_MAX = 32 * 1024 * 1024;
/** Tasks placed after a bigger one that found no node, until a node is kept free for it. */
export const PLACEMENT_PASSED_OVER_MAX = 16;
/** Nodes that one round of placement keeps free for big tasks. */
export const PLACEMENT_RESERVED_MAX = 8;
/** Tasks that one round stops so that tasks of greater priority find room. */
export const PREEMPTED_PER_ROUND_MAX = 256;
/** Jobs, in their order, for which one round of placement assigns ahead of free slots: each looks at every node. */
export const PREFETCH_JOBS_MAX = 4;
/** Ready tasks for each slot of the pool that a job of unknown run time must have to be assigned ahead at all. */
export const PREFETCH_UNKNOWN_ROUNDS = 4;
/** stdout and stderr of at most this many bytes each travel inside the completion report and outlive every node. */
export const INLINE_OUTPUT_BYTES_MAX = 1024;

// --- Store ------------------------------------------------------------------------------------------------------
/** Writes that wait for the disk are merged into one batch up to about this size: one fdatasync pays for all of them. */
export const STORE_TURN_BYTES_MAX = 4 * 1024 * 1024;
/** LevelDB's write buffer. Its log is read twice at start (our check, then LevelDB's replay): 8 MiB is some 50 ms. */
export const STORE_WRITE_BUFFER_BYTES = 8 * 1024 * 1024;
/** LevelDB's cache of decoded blocks. */
export const STORE_CACHE_BYTES = 32 * 1024 * 1024;
/** Records of one page of a scan, and the bytes after which a page ends early. */
export const STORE_PAGE_RECORDS = 512;
export const STORE_PAGE_BYTES = 512 * 1024;
/** Entries before the start of a log that one write removes; the rest waits, so that a cut of 20,000 does not stall the loop. */
export const STORE_PURGE_PER_WRITE = 512;
/** How long the second witness may lag behind the synced batches: each of its writes costs a task about as much as a message. */
export const STORE_ACKED_GATHER_MS = 100;
/** A group id or row key, as written to disk. */
export const STORE_KEY_LENGTH_MAX = 1024;
export const STORE_GROUP_LENGTH_MAX = 256;

/** Characters of the message with which a machine says why a node of its own is unusable. */
export const NODE_FAULT_LENGTH_MAX = 1_000;
/** Application packages of a pool that a node could not get are tried for again after this. */
export const PACKAGES_RETRY_MS = 20_000;

// --- Runner -----------------------------------------------------------------------------------------------------
/** One frame between an agent and its runner; a longer one is garbage and closes the connection. */
export const RUNNER_FRAME_BYTES_MAX = 8 * 1024 * 1024;
/** Executions in one frame: at their largest (environment and command line) they stay below the frame's bound. */
export const RUNNER_LAUNCHES_PER_FRAME_MAX = 32;
export const RUNNER_EXITS_PER_FRAME_MAX = 1_000;
/** Characters of the message of an exit. */
export const RUNNER_MESSAGE_LENGTH_MAX = 1_000;
/** Launches that wait for a slot, over all nodes; more are reported as failed. */
export const RUNNER_WAITING_MAX = 100_000;
/** Exits that the agent has not acknowledged; above this nothing more starts. */
export const RUNNER_EXITS_MAX = 100_000;
/** How often wall clocks, output sizes and grace periods are looked at: no task has a timer of its own. */
export const RUNNER_TICK_MS = 200;
/** Processes that a finished task left behind live at most this long. */
export const RUNNER_SWEEP_MS = 500;
/** How often resident memory is summed; four times as often when more than half of the bound is used. */
export const RUNNER_MEMORY_POLL_MS = 1_000;
/** Starts before the loop looks at its sockets and timers again: each blocks it for about a millisecond. */
export const RUNNER_STARTS_PER_TURN_MAX = 4;
/** While processes that must die still live, /proc is looked at this often. */
export const RUNNER_RESWEEP_MS = 25;
/** A start waits this long for company, so that the start and the end of a short task are one message. */
export const RUNNER_STARTED_DELAY_MS = 5;
/** A tree of an ended lease that still lives after this long takes the whole runner with it; less than KILL_GRACE_MS. */
export const RUNNER_UNKILLABLE_MS = 400;
/** A runner without an agent and without a task ends after this long; its journal keeps what nobody acknowledged. */
export const RUNNER_IDLE_EXIT_MS = 60_000;
/** From the start of the runner process to its first answer. */
export const RUNNER_START_TIMEOUT_MS = 15_000;
/** A runner that accepts a connection but does not answer within this is hung, and is killed. */
export const RUNNER_HELLO_TIMEOUT_MS = 3_000;
/** Counted in pings, not in time, so that an agent that was stopped itself does not blame its runner. */
export const RUNNER_PING_MS = 2_000;
export const RUNNER_PINGS_UNANSWERED_MAX = 5;
/** Longest pause between two attempts to start a runner that keeps dying. */
export const RUNNER_RESTART_PAUSE_MS_MAX = 5_000;
/** How long a killed process may stay in the table before its runner's successor starts without waiting for it. */
export const RUNNER_LEFTOVER_WAIT_MS = 3_000;
/** The journal is emptied above the first size when nothing in it is unacknowledged, and rewritten above the second. */
export const RUNNER_JOURNAL_RESET_BYTES = 64 * 1024;
export const RUNNER_JOURNAL_BYTES_MAX = 8 * 1024 * 1024;
/** The runner's own log is set aside when a new runner starts and finds it larger. */
export const RUNNER_LOG_BYTES_MAX = 1024 * 1024;
/** Processes and threads of one user in the runner (RLIMIT_NPROC): a fork bomb ends here. The greater of the two holds. */
export const RUNNER_PROCESSES_MIN = 8_192;
export const RUNNER_PROCESSES_PER_CORE = 1_024;
/** Tasks inherit it, so that the kernel's out-of-memory killer takes a task before an agent (-1000 to 1000). */
export const RUNNER_OOM_SCORE_ADJUSTMENT = 500;
/** One run of the engine that removes a container, or tells what it did; a hung daemon is asked again after it. */
export const CONTAINER_REMOVAL_TIMEOUT_MS = 20_000;
/** A container that its engine does not remove is tried for this often, with the pause between, before its end is reported all the same. */
export const CONTAINER_REMOVALS_MAX = 30;
export const CONTAINER_REMOVAL_PAUSE_MS = 500;
/** A new runner waits so long for the containers of a dead one to go, less than RUNNER_START_TIMEOUT_MS; then it goes on removing beside its work. */
export const CONTAINER_LEFTOVERS_WAIT_MS = 8_000;
/** How much of an engine's last words goes into the failure of a task. */
export const CONTAINER_MESSAGE_BYTES_MAX = 2_048;
/** Asking an engine for its version; the first run of podman sets its storage up. */
export const CONTAINER_PROBE_TIMEOUT_MS = 30_000;
/** Fetching one image, tens of gigabytes on a slow line included. */
export const CONTAINER_PULL_TIMEOUT_MS = 2 * 3_600_000;
/** Images fetched at once on one machine: engines fetch the layers of each side by side already. */
export const CONTAINER_PULLS_MAX = 3;
/** Processes and threads of one container: those of a daemon are not under the runner's own bound, and a fork bomb ends here. */
export const CONTAINER_PROCESSES_MAX = 8_192;
/** Characters of a task's options for its container. */
export const CONTAINER_OPTIONS_LENGTH_MAX = 4_096;
/** `sun_path` of a Unix socket, without its final NUL. */
export const UNIX_SOCKET_PATH_BYTES_MAX = 107;
/** A process's environment read when looking for our mark. */
export const PROCESS_ENVIRONMENT_BYTES_MAX = 256 * 1024;

// --- Files ------------------------------------------------------------------------------------------------------
/** One chunk of a blob. */
export const CHUNK_BYTES = 1024 * 1024;
/** Copies of each stored blob that the mesh keeps. */
export const BLOB_COPIES = 2;
export const BLOB_BYTES_MAX = 16 * 1024 ** 4;
export const BLOB_NAME_LENGTH_MAX = 1024;
/** Chunks of one content on their way to the disk at once: each thread works on one, and finds the next when it has done that. */
export const CHUNK_WRITES_MAX = 3;
/** Threads that hash, write and read chunks. One nearly does for a fast disk; the second works while the first waits for a slow one. */
export const DISK_THREADS_MAX = 2;
/** Jobs handed to one thread: it need not wait for the main thread to turn before it has the next. */
export const DISK_THREAD_JOBS_MAX = 2;
/** Threads that had no work for this long end, for each takes 10 MB. To start one takes 0.05 s. */
export const DISK_THREAD_IDLE_MS = 30_000;
/** Chunks read ahead of a reader; with the one it holds this is all that a blob of any size takes of memory. */
export const CHUNK_READ_AHEAD = 2;
/** Damaged chunks that are kept aside for a look; older ones are removed. */
export const CHUNKS_SET_ASIDE_MAX = 16;
/** Chunks asked of one holder and not yet on disk. */
export const TRANSFER_HOLDER_WINDOW = 12;
/** Chunks asked of a holder at once: each frame with a question is a write, a TLS record, and a wake-up of either side. */
export const TRANSFER_ASKED_TOGETHER = 4;
/** The same over all holders of one transfer: with CHUNK_BYTES, what a transfer of any size takes of memory. */
export const TRANSFER_WINDOW = 16;
/** Transfers at work at once; more wait. The small ones, which one request answers, do not count. */
export const TRANSFERS_MAX = 6;
/** Machines that one transfer asks, and that a machine names to one as fellow receivers. */
export const TRANSFER_HOLDERS_MAX = 64;
/** Fellow receivers that one transfer exchanges chunks with. */
export const TRANSFER_FELLOWS_MAX = 16;
/** A source that has had nothing to do for this long is asked for what was left to fellow receivers, for the second time. */
export const TRANSFER_PATIENCE_MS = 300;
export const TRANSFER_IMPATIENCE_MS = 2_000;
/** A holder that owes chunks must send this much in TRANSFER_STALL_MS. */
export const TRANSFER_STALL_BYTES = 32 * 1024;
/** How often a transfer looks for holders that stall. */
export const TRANSFER_TICK_MS = 100;
/** Chunks that a streaming read fetches ahead of its reader. */
export const STREAM_READ_AHEAD = 8;
/** Chunks that the choice of the next one looks at: a blob may have millions. */
export const TRANSFER_CANDIDATES_MAX = 64;
/** A holder that owes chunks and sends nothing for this long is asked for them no longer. */
export const TRANSFER_STALL_MS = 5_000;
/** Back-off of a holder that failed, doubled each time up to the second. */
export const TRANSFER_BACK_OFF_MIN_MS = 250;
export const TRANSFER_BACK_OFF_MAX_MS = 10_000;
/** A transfer that gets nothing new for this long fails. */
export const TRANSFER_PROGRESS_MS = 20_000;
/** The same where nobody who is up says that it holds anything. */
export const TRANSFER_NO_HOLDER_MS = 3_000;
/** How often a transfer asks again who holds what. */
export const TRANSFER_REFRESH_MS = 1_000;
/** A fellow receiver that announced nothing for this long is not waited for any more. */
export const TRANSFER_FELLOW_IDLE_MS = 1_500;
/** Arrived chunks are announced to fellow receivers after this long, many in one message. */
export const TRANSFER_ANNOUNCE_MS = 5;
export const CHUNK_ANNOUNCEMENT_MAX = 4_096;
/** One bit for each chunk of the largest blob that a bitfield describes; of larger ones only whole copies are used. */
export const BITFIELD_BYTES_MAX = 4 * 1024 * 1024;
/** Hashes in one frame of a want-list; the server reads the next frame when it has answered this one. */
export const WANT_HASHES_MAX = 256;
/** Streams of chunks and files that a peer may have open here. */
export const SERVED_STREAMS_PER_PEER_MAX = 32;
/** A requester that takes nothing for this long, or asks for nothing, is let go. */
export const SERVED_STREAM_IDLE_MS = 60_000;
/** Contents up to this size travel inside requests and answers. */
export const CONTENT_INLINE_BYTES_MAX = 256 * 1024;
/** Chunks and contents of one push. */
export const PUSH_CONTENTS_MAX = 1_024;
/** Longest wait inside one `files.fetch`; then the asker hears how far it got. */
export const FETCH_POLL_MS = 5_000;
/** Contents that one publish copies at a time. */
export const COPIES_AT_ONCE = 4;
/** Machines that a copy is tried on. */
export const COPY_TRIES_MAX = 3;
/** How often the leader of the mesh group looks for contents with too few copies, and how many it mends in one turn. */
export const REPAIR_PERIOD_MS = 2_000;
export const REPAIRS_AT_ONCE = 16;
/** A content that could not be copied is tried again after this long. */
export const REPAIR_RETRY_MS = 15_000;
/** Least time between two collections of unreferenced chunks, and how long new ones are safe. */
export const COLLECT_PERIOD_MS = 600_000;
/** A content that was ingested and has no name yet is kept this long: a task may store files for many minutes before it names them. */
export const UNNAMED_CONTENT_MS = 3 * 3_600_000;
/** One log file of the agent; then the next begins. At the levels of everyday an agent writes some hundred bytes a minute. */
export const LOG_FILE_BYTES_MAX = 4 * 1024 * 1024;
/** Log files of the agent that are kept, the one that is written included; all of them are sent within one request. */
export const LOG_FILES_MAX = 5;
/** Clients that a machine sends its log files for at once. */
export const LOG_UPLOADS_MAX = 2;
/** A range of a node's file up to this size travels inside the answer. */
export const FILE_INLINE_BYTES_MAX = 256 * 1024;
/** Entries of one listing of a node's or task's files. */
export const FILE_ENTRIES_MAX = 20_000;
/** A request to another machine about its nodes' files. */
export const FILE_REQUEST_MS = 10_000;
/** Components of a path below a task's root. A name that the kernel takes has at most 255 bytes, a path 4096. */
export const PATH_DEPTH_MAX = 64;
export const PATH_COMPONENT_BYTES_MAX = 255;
export const PATH_BYTES_MAX = 4096;
export const GLOB_LENGTH_MAX = 4096;
/** Directory entries that one walk looks at; a task that made more has its collection refused. */
export const GLOB_ENTRIES_MAX = 1_000_000;

// --- Lifecycle ----------------------------------------------------------------------------------------------------
/** The URL of a container or a file, its signature included. */
export const CONTAINER_URL_LENGTH_MAX = 4_096;
/** Resource files of one task fetched at the same time. */
export const INPUT_FETCHES_MAX = 8;
/** A download from an HTTP server fails after this long without a byte. */
export const INPUT_DOWNLOAD_TIMEOUT_MS = 60_000;
/** A download that failed for no lasting reason is begun again so often in all. */
export const INPUT_DOWNLOAD_ATTEMPTS_MAX = 3;
/** Before the second attempt; twice that before the next. */
export const INPUT_DOWNLOAD_RETRY_MS = 500;
/** Files that the containers of one task's resource files may bring. */
export const INPUT_FILES_MAX = 10_000;
/** Answers of a blob service to one listing of a container, and the bytes of each: they are held in memory whole. */
export const CONTAINER_PAGES_MAX = 1_000;
export const CONTAINER_ANSWER_BYTES_MAX = 32 * 1024 * 1024;
/** One resource file. */
export const RESOURCE_FILE_BYTES_MAX = 1024 ** 4;
/** Entries of one application package; each is held in memory while the package is unpacked. */
export const PACKAGE_ENTRIES_MAX = 200_000;
/** All files of one application package together: a zip of a few kilobytes can stand for petabytes. */
export const PACKAGE_UNPACKED_BYTES_MAX = 256 * 1024 ** 3;
/** Of the free disk, what the files of one package may take: the agent's own store must never find it full. */
export const PACKAGE_DISK_SHARE = 0.9;
/** Symbolic link of a package: where it leads to. */
export const PACKAGE_LINK_BYTES_MAX = 1024;
/** stdout.txt and stderr.txt, each. */
export const TASK_OUTPUT_BYTES_MAX = 1024 ** 3;
/** Files that one execution may store; more is a fileUploadError. */
export const OUTPUT_FILES_MAX = 10_000;
/** Files of one execution stored at the same time. */
export const OUTPUT_UPLOADS_MAX = 4;
/** A file up to this size goes to an Azure container in one request, a larger one in blocks of it (50,000 at most there). */
export const UPLOAD_BLOCK_BYTES = 8 * 1024 * 1024;
export const UPLOAD_BLOCKS_AT_ONCE = 2;
/** Longest life of a bearer token of the HTTP API: nothing can take one back. */
export const BEARER_TOKEN_VALID_MS_MAX = 365 * 86_400_000;
export const BEARER_TOKEN_VALID_MS_DEFAULT = 86_400_000;
/** Of the token that a task gets for its own job. A task that runs longer than this is made anew by whoever adds it. */
export const TASK_TOKEN_VALID_MS = 30 * 86_400_000;
export const BEARER_TOKEN_BYTES_MAX = 1024;
/** Of the certificate that an agent makes itself when it begins to listen off loopback; made anew at each start. */
export const API_CERTIFICATE_VALID_MS = 397 * 86_400_000;
/** Shortest recurrence and shortest window of a job schedule (Azure's). */
export const SCHEDULE_INTERVAL_MIN_MS = 60_000;
/** Azure's most jobs and schedules that are active in one account; each costs the mesh coordinator a look a second. */
export const JOB_SCHEDULES_MAX = 1_000;
/** Jobs of a schedule that is deleted which are deleted in one look. */
export const SCHEDULE_DELETES_AT_ONCE = 16;
/** A pool that was made for a job is taken back where the job does not come within this time. */
export const AUTO_POOL_JOB_MS_MAX = 60_000;
/** How often the mesh coordinator looks whether a schedule has something to do. */
export const SCHEDULE_LOOK_MS = 1_000;
/** Azure's default retention of a task's directory, from its completion. */
export const RETENTION_DEFAULT_MS = 7 * 86_400_000;
/** How often directories whose retention is over are looked for. */
export const RETENTION_SWEEP_MS = 60_000;

// --- Joining ------------------------------------------------------------------------------------------------------
/** Members whose addresses a join token carries: it must stay short enough to be pasted. */
export const TOKEN_MEMBERS_MAX = 5;
/** A joiner gives up after this long without a member that answers. */
export const JOIN_TIMEOUT_MS = 20_000;

// --- API --------------------------------------------------------------------------------------------------------
/** A request waits this long for a coordinator (clients give up after 30 s). */
export const REQUEST_WAIT_MS = 28_000;
export const REQUEST_BODY_BYTES_MAX = 4 * 1024 * 1024;
/** Request line and headers together. */
export const API_HEADER_BYTES_MAX = 32 * 1024;
/** From a connection's first byte to the end of its headers: a client that dribbles them is cut. */
export const API_HEADERS_TIMEOUT_MS = 15_000;
/** For the whole body of a JSON request. */
export const API_BODY_TIMEOUT_MS = 30_000;
/** The rest of a body that was refused is read and dropped, so that the client gets to reading why; up to this much. */
export const API_DISCARD_BYTES_MAX = 16 * 1024 * 1024;
export const API_DISCARD_MS = 10_000;
/** A streamed body or answer that moves no byte for this long is given up. */
export const API_STREAM_IDLE_MS = 60_000;
export const API_CONNECTIONS_MAX = 1_024;
/** From one address; half of all, so that one client cannot keep all others out. */
export const API_CONNECTIONS_PER_ADDRESS_MAX = 512;
/** Waiting or being handled, of one caller (an address with a credential). More are refused. */
export const API_REQUESTS_PER_CALLER_MAX = 512;
/** Strangers are those who show no good credential. An address may fail so often at once … */
export const STRANGER_FAILURES_MAX = 20;
/** … and then so often a second: each costs about 0.3 ms, whatever was sent. */
export const STRANGER_FAILURES_PER_SECOND = 5;
/** Failures of one address that wait to be answered; more are cut. */
export const STRANGER_WAITING_MAX = 64;
/** New connections of such an address are listened to so often: an honest client may be among them, and to see its signature takes 0.3 ms. */
export const STRANGER_CONNECTIONS_PER_SECOND = 250;
/** A connection is closed at its so many-th failure. */
export const STRANGER_FAILURES_PER_CONNECTION_MAX = 3;
/** Of the rest of a stranger's body, so much is read, so that an honest one hears why it was refused. */
export const STRANGER_DISCARD_BYTES_MAX = 1024 * 1024;
/** Addresses remembered for their failures, some 100 bytes each. */
export const STRANGER_ADDRESSES_KEPT = 4_096;
/** CPU time up to which a request is light. Reading one task takes about 0.4 ms, and twice that where the machine is crowded. */
export const FAIR_LIGHT_MS = 2.5;
/** What heavy reads of one caller may take of the time while others are in a hurry, and refused requests always: a twentieth. Half of it is measured; sockets, links between machines and garbage are the other half. */
export const FAIR_HEAVY_SHARE = 1 / 40;
/** The same for heavy changes: they do what somebody wants done. */
export const FAIR_CHANGE_SHARE = 1 / 2;
/** A refused request counts as if it took at least so long: five a second use up the share. A search counts as `FAIR_LIGHT_MS` at least. */
export const FAIR_REFUSED_MS = 5;
/** Debt, in ms of waiting, that holds nothing back: a page of 1,000 tasks makes some 1,000. */
export const FAIR_DEBT_FREE_MS = 1_000;
export const FAIR_DEBT_MS_MAX = 10_000;
/** The same among the connections of one caller, which may belong to one program: four pages of 1,000 tasks in a row. */
export const FAIR_OWN_DEBT_FREE_MS = 4_000;
export const FAIR_OWN_DEBT_MS_MAX = 20_000;
/** A caller whose light request was handled so recently is in a hurry: clients that go as fast as they get answers pause less. */
export const FAIR_HURRY_MS = 50;
/** A light request that takes longer waits for something else than the heavy ones of others. */
export const FAIR_PATIENCE_MS = 2_000;
/** Requests of one caller that are handled at once while another is in a hurry. */
export const FAIR_WORKING_MAX = 2;
/** One that takes longer waits for something, and makes room for the next. */
export const FAIR_WORKING_MS = 50;
/** A request that could not begin for so long is refused. */
export const FAIR_WAIT_MS_MAX = 10_000;
export const FAIR_CALLERS_KEPT = 1_024;
/** Kinds of requests whose cost is remembered, of each caller. */
export const FAIR_KINDS_KEPT = 64;
/** Followed files and event streams open at once on one machine. */
export const API_STREAMS_MAX = 256;
/** The same of one caller. */
export const API_STREAMS_PER_CALLER_MAX = 64;
/** How often a followed file is looked at. */
export const FOLLOW_POLL_MS = 250;
/** Events that wait for one slow client before the oldest are dropped. */
export const EVENTS_QUEUED_MAX = 1_000;
/** A comment line on a quiet event stream, so that proxies and clients keep it open. */
export const EVENTS_KEEPALIVE_MS = 15_000;
/** Azure Batch takes no body above this; here larger ones wait for their turn. One without a length may have no more. */
export const LARGE_BODY_BYTES = 1024 * 1024;
/** From one large body to the next: with some 30 ms of work each, they take a twentieth of the agent's time. */
export const LARGE_BODY_PAUSE_MS = 600;
/** Large bodies that wait, 10 s at most: clients give up after 30 s. */
export const LARGE_BODIES_WAITING_MAX = 16;
/** Objects and arrays inside each other in a JSON body. */
export const JSON_DEPTH_MAX = 32;
/** Pool of a job, remembered so that a request needs one group and not two. */
export const JOB_LOCATIONS_KEPT = 10_000;
/** Pools asked for one page of the list of all jobs; a page may end early. */
export const JOB_LIST_POOLS_MAX = 64;
/** Azure Batch's own page of node counts: each row asks a pool's coordinator. */
export const NODE_COUNTS_PAGE_MAX = 10;
/** How long a join token is good where nobody says otherwise, and at most. */
export const TOKEN_VALID_MS_DEFAULT = 3_600_000;
export const TOKEN_VALID_MS_MAX = 30 * 86_400_000;
/** How far the date of a signed request may be from our clock, either way (Azure Batch's figure). */
export const SHARED_KEY_SKEW_MS = 15 * 60_000;
/** Dates have a resolution of 1 s and a signature does not cover the body, so honest clients repeat one; later it is a replay. */
export const SHARED_KEY_REUSE_MS = 5_000;
/** Signatures of changing requests remembered against replay, about 5 MB. */
export const SIGNATURES_KEPT = 50_000;
/** Account name and key are read again after this long. */
export const ACCOUNT_REFRESH_MS = 60_000;
/** Machines' addresses, as lists of nodes tell them, are read again after this long. */
export const MACHINE_ADDRESSES_FRESH_MS = 10_000;
/** A `$filter`: some 250 comparisons of ids; it is evaluated for every row of a list. */
export const FILTER_LENGTH_MAX = 8_192;
export const FILTER_CLAUSES_MAX = 256;
/** Parentheses inside parentheses. */
export const FILTER_DEPTH_MAX = 32;

// --- Client and command line -------------------------------------------------------------------------------------
/** Longer than REQUEST_WAIT_MS: the agent's own answer, not the client's impatience, says why a request failed. */
export const CLIENT_ANSWER_MS = 35_000;
/** Attempts of one request that may be repeated, the first included. */
export const CLIENT_ATTEMPTS_MAX = 6;
/** Waits between attempts double from the first to the second, each drawn at random below its bound. */
export const CLIENT_BACKOFF_MS = 100;
export const CLIENT_BACKOFF_MS_MAX = 5_000;
/** An agent that has answered before and now does not is restarting: waited for this long. */
export const CLIENT_RESTART_WAIT_MS = 30_000;
/** Connections kept open to one agent. */
export const CLIENT_SOCKETS_MAX = 32;
/** A JSON answer: a page of 1,000 tasks with long command lines stays below. */
export const CLIENT_JSON_BYTES_MAX = 64 * 1024 * 1024;
/** One event of a server-sent stream. */
export const CLIENT_EVENT_BYTES_MAX = 1024 * 1024;
/** Body of one request that adds tasks; a quarter of what the agent takes, so that its JSON parse stays short. */
export const CLIENT_ADD_BYTES_MAX = 1024 * 1024;
/** Items of one `shoal run`: the job of a million tasks. */
export const RUN_ITEMS_MAX = 1_000_000;
/** Bytes of one item list from a file or standard input. */
export const RUN_ITEM_BYTES_MAX = 256 * 1024 * 1024;
/** Input files of one task; the model allows no more resource files. */
export const RUN_INPUTS_MAX = 10_000;
/** Fixed inputs beyond this travel as one reference to their container, so that a task's record stays small. */
export const RUN_INPUTS_LISTED_MAX = 32;
/** Outputs of finished tasks fetched ahead of their turn to be printed, and the bytes of each that are held. */
export const RUN_FETCH_AHEAD_TASKS = 16;
export const RUN_FETCH_AHEAD_BYTES = 64 * 1024;
/** Tasks of one page when a run looks for the next ones to print. */
export const RUN_PAGE_TASKS = 250;
/** Shortest and longest time between two looks at a job that is waited for. */
export const WAIT_POLL_MS = 50;
export const WAIT_POLL_MS_MAX = 1_000;
/** After a cancel: how long the job's processes may take to end before the command says so and leaves. */
export const CANCEL_WAIT_MS = 15_000;
/** Files that one `shoal file` command moves at the same time. */
export const FILE_TRANSFERS_MAX = 4;
/** Time between two drawings of a progress line. */
export const PROGRESS_DRAW_MS = 100;
/** `shoal events` without -f ends when nothing has happened for this long. */
export const EVENTS_IDLE_MS = 400;
/** `shoal doctor`: free space below which a machine is about to refuse work. */
export const DOCTOR_DISK_FREE_BYTES_MIN = 1024 ** 3;
/** `shoal doctor`: clocks further apart make signed requests fail at 15 minutes; warned well before. */
export const DOCTOR_CLOCK_SKEW_MS_MAX = 60_000;

// --- Mesh state: pools, machines, blobs ---------------------------------------------------------------------------
/** Join tokens open at one time; each is an identity on the allow-list. */
export const TOKENS_OPEN_MAX = 1_000;
/** Machines that one token may let in. */
export const TOKEN_USES_MAX = 10_000;
/** A machine's name; room is left for the `-<n>` that tells two of the same name apart. */
export const MACHINE_NAME_LENGTH_MAX = 200;
/** Addresses a machine may offer. */
export const MACHINE_ADDRESSES_MAX = 64;
/** Azure's own: nodes named in one removeNodes. */
export const REMOVE_NODES_MAX = 100;
/** Azure's own: how long a resize may take before the pool is steady again, unmet or not, and the least one may ask for. */
export const RESIZE_TIMEOUT_DEFAULT_MS = 15 * 60_000;
export const RESIZE_TIMEOUT_MIN_MS = 5 * 60_000;
/** Blobs in one command: a command of the longest names stays under the entry's size. */
export const BLOBS_PER_COMMAND_MAX = 1_000;
/** Blobs of a deleted container that one command lets go: some milliseconds of `apply`. */
export const CONTAINER_DELETE_SLICE = 2_000;
/** Of an escaped blob name, this much goes into its row key; the store's keys end at STORE_KEY_LENGTH_MAX. */
export const BLOB_KEY_LENGTH_MAX = 900;

/** Azure's own: applications of an account, versions of one, packages that a pool or task refers to. */
export const APPLICATIONS_MAX = 20;
export const APPLICATION_VERSIONS_MAX = 40;
export const APPLICATION_PACKAGES_PER_ENTITY_MAX = 10;
/** One package. A node has its zip file, its chunks and what is in it on its disk at the same time. */
export const APPLICATION_PACKAGE_BYTES_MAX = 64 * 1024 ** 3;

// --- Membership ---------------------------------------------------------------------------------------------------
/** A machine is up this long before it may vote (autopilot's ServerStabilizationTime). */
export const VOTER_STABLE_MS = 10_000;
/** The same for the first growth of a group that has one voter only. */
export const VOTER_STABLE_FIRST_MS = 250;
/** A voter is silent this long before it is replaced: a reboot fits in, and a snapshot is not sent for a hiccup. */
export const VOTER_DEAD_MS = 60_000;
/** Voters of the mesh group at most, and from how many live machines on; fewer, and a pool's group, have 3 or 1. */
export const VOTERS_MESH_MAX = 5;
export const VOTERS_MESH_MAX_FROM_MACHINES = 7;

// --- Packing of nodes ---------------------------------------------------------------------------------------------
/** A machine is silent this long before its nodes are replaced on others. Longer than VOTER_DEAD_MS: a node's tasks were requeued long since. */
export const NODE_REPLACE_MS = 120_000;

// --- Automatic scaling --------------------------------------------------------------------------------------------
/** Azure's own: how long a formula may be, in bytes of UTF-8, and how many statements it may have. */
export const AUTOSCALE_FORMULA_BYTES_MAX = 8 * 1024;
/** A longer text is no formula at all; up to here it is refused with Azure's own code for formulas that are too long. */
export const AUTOSCALE_FORMULA_ACCEPTED_LENGTH_MAX = 1024 * 1024;
export const AUTOSCALE_STATEMENTS_MAX = 100;
/** Expressions inside each other, or operators in one chain: the tree is walked on the stack. */
export const AUTOSCALE_DEPTH_MAX = 200;
/** Nodes and vector elements that one evaluation looks at: some tens of milliseconds, and more than all samples in each statement. */
export const AUTOSCALE_STEPS_MAX = 200_000;
/** Azure's own: how often a pool's metrics are sampled. */
export const AUTOSCALE_SAMPLE_PERIOD_MS = 30_000;
/** A period's load of machines counts so long after it began: each has told its own by then (three heartbeats, and clocks that differ). */
export const AUTOSCALE_LOAD_SETTLE_MS = 6_000;
/** Heartbeats that carry the same reading of a machine's load: gossip may lose one. */
export const LOAD_REPORTS = 3;
/** Samples kept of each pool: four hours, in at most as many rows of some 40 bytes. */
export const AUTOSCALE_SAMPLES_KEPT = 480;
/** How often a formula is evaluated: Azure's default and longest, and our shortest (Azure's is five minutes). Each run is a log entry of the mesh group. */
export const AUTOSCALE_INTERVAL_DEFAULT_MS = 15 * 60_000;
export const AUTOSCALE_INTERVAL_MIN_MS = 5_000;
export const AUTOSCALE_INTERVAL_MAX_MS = 168 * 3_600_000;
/** Between two evaluations of a pool that asks for them on every change. */
export const AUTOSCALE_ON_CHANGE_GAP_MS = 1_000;
/** A run that could not be recorded is tried again after this long. */
export const AUTOSCALE_RETRY_MS = 2_000;
/** Azure's own: between two requests to enable it on the same pool. */
export const AUTOSCALE_ENABLE_GAP_MS = 30_000;
/** Characters of the results of one run: they are kept with the pool. */
export const AUTOSCALE_RESULTS_LENGTH_MAX = 4_096;
/** Elements of a vector that results show. */
export const AUTOSCALE_PRINTED_ITEMS_MAX = 20;
/** An explanation shows so many reads of one statement, and so many samples of each. */
export const AUTOSCALE_READS_SHOWN_MAX = 16;
export const AUTOSCALE_VALUES_SHOWN_MAX = 20;
/** Nodes without a task that a run names, so that a shrinking pool gives them up first: some 20 KB in the pool's record. */
export const AUTOSCALE_IDLE_NODES_MAX = 1_000;
/** Nodes that a pool may ask for, of each kind. */
export const POOL_NODES_MAX = 100_000;
