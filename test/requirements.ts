/**
 * The promises of this package, one sentence each. Titles of tests cite them as `[ID]`. `requirements.test.ts` fails for an
 * id that no test cites, and for a cited id that is not here.
 */
export const requirements = {
  // Starting a process
  'SPAWN-1': 'A process is in the registry in the tick of its spawn, and every failure path of a start ends it.',
  'SPAWN-2': 'A missing command is a COMMAND_NOT_FOUND error that says where the pool has looked.',
  'SPAWN-3': 'A missing working directory is a CWD_NOT_FOUND error, not an error about the command.',
  'SPAWN-4': 'A command that this user may not execute is a COMMAND_NOT_EXECUTABLE error.',
  'SPAWN-5':
    'When the operating system refuses a spawn (E2BIG, EMFILE, a missing interpreter), the error is SPAWN_FAILED with the errno.',
  'SPAWN-6': 'A command is looked up in the PATH of the server, never by a shell.',
  'SPAWN-7': 'stderr is always read, kept as a bounded tail, and offered as whole lines.',
  'SPAWN-8': 'A server leads a process group and a session of its own.',

  // Secrets
  'SECRET-1': 'Values of env appear in no error, event, status or log.',
  'SECRET-2':
    "A server gets an allow-list of the host's variables, the variables that inheritEnv names, and its own env.",
  'SECRET-3':
    'What clients get of a lost server has no secret of its definition; on a shared server, and on one that had a session of another owner, it has no stderr tail, which may be about other sessions. The same secrets are hidden in errors and in the tail of server:exited.',

  // The ladder that ends a tree
  'LADDER-1': 'A server that exits at end of file is ended by closing its stdin.',
  'LADDER-2': 'A server that ignores end of file and SIGTERM is ended by SIGKILL, after both graces.',
  'LADDER-3': 'A shell with a server below it, and a tree of 1+50 processes, end completely.',
  'LADDER-4':
    'A helper that holds stdout open, in the group of the server or in a session of its own, ends with the server, in bounded time.',
  'LADDER-5':
    'The report contains each step, the number of living processes at that step, the duration, and the survivors.',
  'LADDER-6': 'A process that cannot be proven dead is reported in bounded time.',
  'LADDER-7': 'An emergency, or an aborted signal of the caller, continues with SIGKILL at once.',
  'LADDER-8': 'Processes that are forked while a tree ends are ended, too.',

  // Which processes are ours, and whether they are dead
  'KIN-1': 'All members of a tree are found, also after their parents have died.',
  'STRANGER-1':
    "No signal goes to a process that is not ours: not to a reused pid, a reused group number, or the host's own group.",
  'PROOF-1': 'A process that is not proven dead is reported and quarantined; its slot stays taken.',
  'PROOF-2': 'A zombie is dead; a process with another start time is not ours.',
  'PROOF-3': 'A process table that cannot be read proves nothing.',
  'PROOF-4':
    'What is not provably ours delays no proof and holds no slot; what is ours and may not be signalled is reported as such.',

  'REUSE-1':
    'A process that gets the number of another one while that is moved into a cgroup is moved back, before anything in the cgroup is killed, also if the host dies meanwhile.',
  'REUSE-2':
    'A process or a group is signalled only if it is read again right before, with the identity that the scan has shown.',
  'REUSE-3':
    'A process that gets the number of another one is not taken for it, also if both were started within the same tick.',
  'REUSE-4':
    'A process that was started by, or is in the group of, another process which got the number of a member during a scan is no member.',
  'REUSE-5':
    'When nothing of a server is left in a group, the number of that group is no longer one of the server: not for a pool, nor for its guardian.',
  'REUSE-6':
    'A leader that exits while other exits are reported is looked at after its end; what it leaves is found, also with its group as the only evidence.',
  'REUSE-7':
    'Where the process table cannot be read, the group of a leader gets no signal when what is known of the leader shows that it has ended.',
  'REUSE-8':
    'What is below a process with the mark gets no signal when that process no longer shows the mark right before the signal.',
  'REUSE-9':
    'A process that is moved instead of a stranger, because the stranger has ended meanwhile, is moved back, too.',
  'PROOF-5':
    'Processes of others that are started faster than they can be read do not begin a proof anew; a proof that is not complete when the time is up is no proof.',

  'PROOF-6':
    'A host that was stopped, or busy, while a server ended goes on with its proof: the time in which it could do nothing does not count.',
  'REUSE-10':
    'A host without free descriptors gets back those that keep processes open, whatever it needs them for; with descriptors again, processes are kept open again.',

  'REUSE-11':
    'A look that fails keeps no process open; nor does a process that was shown once keep what else was shown with it.',

  // Registry
  'REG-1': 'The registry finds its entries by id, name and pid; an id is never given to two entries.',
  'REG-2': 'The consistency check finds and removes a dead entry.',
  'REG-3': 'The consistency check finds and removes an entry when its pid was reused.',
  'REG-4': 'The consistency check finds and repairs an index that differs from the entries.',
  'REG-5': 'The registry emits and counts each change once.',

  // Cleanup queue
  'CLEAN-1': 'At most `concurrency` trees are ended at once, in order.',
  'CLEAN-2': 'An attempt that reaches its deadline continues with SIGKILL; one that never returns is abandoned.',
  'CLEAN-3': 'A failed attempt is repeated with exponential backoff, as an emergency.',
  'CLEAN-4': 'The status of every job can be read.',
  'CLEAN-5': 'The report contains the signals, the duration, and the survivors.',
  'CLEAN-6': 'A second job with the same id joins the first; as an emergency it speeds the first up.',
  'CLEAN-8':
    'Each step of each attempt is told, also of one that rejects, is abandoned or leaves survivors; a kill before or during the ladder, too.',
  'CLEAN-7': 'A deadline longer than the longest timer of Node does not become a deadline of one millisecond.',

  // Framing and connection
  'FRAME-1': 'The same messages are read, however the stream is cut into chunks.',
  'FRAME-2': 'A line that is not a message is skipped and counted.',
  'FRAME-3': 'A message above the limit, in bytes, ends its connection and no other.',
  'CONN-1': 'Messages that are sent in one tick are written together.',
  'CONN-2': 'Callers have to wait while a server does not read.',
  'CONN-3': 'send rejects when the message cannot be written, and leaves nothing behind.',
  'CONN-4': 'The bytes that wait to be written are bounded; when the bound is reached, the error says so.',

  // Faults of this library
  'FAULT-1':
    'What this library throws while it works on messages ends the server concerned with INTERNAL_ERROR, cause attached; every request that it was asked is answered.',
  'FAULT-2': 'A fault of this library is an internal:error event that names the server, and never a skipped message.',
  'FAULT-4':
    'What this library throws when something is due ends the instance or the call that it concerns, or is an internal:error event only; what else is due is handled all the same.',
  'FAULT-5':
    'A fault of this library in the last change of an instance, which gives its slot back or keeps it, is an internal:error event: the change is made all the same, every promise about the end settles, and the host runs on.',
  'FAULT-3': 'Nothing that a server sends or a client throws is a fault of this library.',

  // Routing
  'ROUTE-1': 'Ids are replaced, and restored with their type: 1 is not "1".',
  'ROUTE-2': 'A late reply to an earlier session reaches no later session.',
  'ROUTE-3': 'A cancellation reaches the request that it names; one for an unknown request is dropped.',
  'ROUTE-4': 'A progress token is restored as the client wrote it, with its type.',
  'ROUTE-5':
    'initialize is sent once per process. Clients are answered from its result; a client that asks for an older version gets that version.',
  'ROUTE-6': 'ping is answered by the pool, in both directions.',
  'ROUTE-7': 'A request of the server is refused when no client can answer it.',
  'ROUTE-8':
    'A request that is lost with its server is answered with an error that contains the reason, and whether to retry.',
  'ROUTE-9': 'On a dedicated server every message passes unchanged.',
  'ROUTE-10': 'A progress token that a server echoes as a string is found, where that is unambiguous.',
  'ROUTE-11':
    'Of a request that the pool combines with others, the server also gets _meta and parameters that the pool does not know.',

  // Handshake
  'HANDSHAKE-1':
    'A server that refuses the protocol version is offered an older one: the newest that it names, else the next older one.',
  'HANDSHAKE-2':
    'protocolVersion and clientInfo of a definition are what its server sees; they decide which processes are the same.',

  // What a server asks its client
  'EARLY-1':
    'What an exclusive server asks before its client is ready waits for that client; on each later lease the server learns that the roots have changed.',
  'EARLY-2': 'Such requests wait in limited number and size, and for a limited time.',
  'EARLY-5':
    'The pool itself sends notifications/roots/list_changed only to a server to which it has declared roots.listChanged; that of a client is passed on, except to a shared server.',
  'EARLY-3': 'What a server has asked one client ends with the lease, and goes to no other client.',
  'EARLY-4': 'A late answer of a client never answers a request of the next process.',

  // Order
  'ORDER-1':
    'What the pool combines (subscriptions by URI, the log level) is sent one request at a time, each after the answer to the one before; the latest wish wins, in whatever order a server works.',
  'ORDER-2': 'Nothing is unsubscribed that the server refused.',
  'ORDER-4':
    'What a new process is asked for again (subscriptions, the log level) must be answered within a limited time, too: one that never answers holds up no later request.',
  'ORDER-3': 'Tools that were listed before a server announced a change are not taken for those after it.',

  // Session
  'SESS-1': 'onclose is called exactly once, however the lease ends.',
  'SESS-2': 'All handlers that a client chains are called; a handler that throws has no effect on others.',
  'SESS-4':
    'An answer is delivered after the client has processed earlier notifications, which the SDKs do a microtask later.',
  'SESS-3': 'send rejects before the start and after the end, with a reason.',

  // Options
  'OPT-1': 'Wrong options are one error that lists each problem once.',
  'OPT-2': 'An unknown key is refused with the nearest known name.',
  'OPT-3': 'A negative number, a wrong type, an empty command and a maxInstances above the total are refused.',
  'OPT-4': 'An option that a later version will support is NOT_SUPPORTED, never ignored.',
  'OPT-5': 'Every default is as documented, and contradicts no value that the host set.',
  'OPT-6': 'Servers get the version of the package in clientInfo.',
  'PRIORITY-1':
    'To make room, trees of expendable servers end first, those of essential ones only for another essential server, and last.',
  'PRIORITY-2':
    'Idle trees of essential servers keep their slots; a caller that waits because of it learns so, and delays no caller of an essential server.',
  'OPT-7':
    'The options of monitoring and audit have the documented defaults; those that contradict each other are refused.',
  'OPT-8':
    'Limits of memory, CPU and processes of a server fit those of the pool and of the kernel, or are refused; neither sets the other.',
  'OPT-9': "maxProcesses 'auto' is what the machine allows; a pool says what decided it.",
  'OPT-10': 'A limit that the host has set is known from a default, which gives way to it.',
  'OPT-11': 'A limit that nothing would measure is refused.',
  'OPT-12': 'A number in another unit, or as a string, is refused with what to write instead.',
  'OPT-13': 'An option of monitoring without effect is refused.',

  // Arguments of calls
  'ARG-1':
    'An argument that is missing never means everything: a call that would concern more without it is refused, and changes nothing.',
  'ARG-2':
    'A tenant or an owner that is written as undefined is refused by getServer and warm: a value that was lost gives no caller the process of another.',

  // What errors and objects say
  'SHOW-1':
    'An error, a pool, its parts, a lease and a transport say what they are in a log and as JSON, and show no insides.',
  'SHOW-2': 'UNKNOWN_SERVER names at most three servers, those that are near, however many there are.',
  'SHOW-3': 'A transport that is started twice, or used before its start, refuses with a PoolError.',
  'SHOW-4':
    'The error of a call that waited has the frames of its caller, and nothing is kept for that while it waits.',
  'SHOW-5': 'The classes of the built package have the names under which they are exported.',
  'SHOW-6':
    'Messages of errors call a server by its label when it has one; names stay in data and events, and another label replaces no process.',

  'HINT-1': 'A mistake in options that hosts make again and again gets the hint that helps.',
  'HINT-3':
    'A placeholder that nothing replaces is refused wherever it stands: whole or within a value of env, args, command or cwd; what may be code for a shell, or is replaced by the server itself, is passed.',
  'HINT-2':
    'The error about a command or a folder that is not found says what is wrong with it, and shows no argument.',
  'RULE-1':
    'Defaults are checked when the pool is made; those that do not fit a server give way to what it sets, the drop-in included.',
  'RULE-2': 'maxInstances: Infinity is no cap of its own, wherever it is written.',
  'RULE-3': 'The minimum of all servers is checked by every call that changes it.',
  'RULE-4': 'maxWaiting counts callers that wait for a release, and no caller for which a slot can be made free.',

  'FUZZ-1':
    'Input that is not what the types say is a PoolError, read once, of own properties only: nothing is half applied, no prototype changed.',

  // Events and states
  'EVENT-1': 'A listener that throws or rejects breaks nothing; its error is emitted as listener:error.',
  'EVENT-2': 'Listeners are added, called once and removed as with eventemitter3.',
  'EVENT-7':
    'waitFor resolves with the event that its filter accepts, within its timeout, and keeps the host alive; a name that is no event is refused.',
  'EVENT-8':
    'Events of a server name the leases on it, with their owners; from its end on those that it had when that began.',
  'EVENT-9': 'Events of a server that has served no lease name the owners of the calls that wait for it.',
  'EVENT-10':
    'A listener of onAny hears each event of a pool with its payload, until it is removed; POOL_EVENTS names them all.',
  'EVENT-11':
    'Each payload can be written as JSON, whatever the host has thrown; errors show code, message and causes, and no secret.',
  'EVENT-12':
    'Each event is published on a channel of node:diagnostics_channel, with its pool; without a subscriber no payload is made.',
  'EVENT-3':
    'Events are delivered in the order in which things happened, in the same tick, when the outermost operation is complete: also those of pool.registry and pool.cleanup.',
  'EVENT-4':
    'A listener sees only settled state: the counts of slots, instances, leases and waiting callers agree with each other.',
  'EVENT-5':
    'A listener may call back: that starts the next operation, and what it causes is delivered after the events that are queued already.',
  'EVENT-6':
    'Handlers of clients (onclose, onerror, answers of lost requests) are called when the operation that causes it is complete, and may call back.',
  'STATE-1': 'The state of a server changes only as the transition table says; a late event changes nothing.',

  // Budget and queue
  'BUDGET-1': 'Slots cover starting, running, stopping and quarantined trees; the caps hold under any interleaving.',
  'QUEUE-1': 'Callers are served in order of arrival: 50 at once on a cold definition with at most 3 processes.',
  'QUEUE-2': 'No caller is lost when others abort or time out in any order.',
  'QUEUE-3':
    'The oldest waiter that can be served goes first, for whatever server; an idle instance of another server ends for it.',
  'QUEUE-4': 'The wait queue is bounded; when it is full, the error says so.',
  'QUEUE-5': 'One deadline covers waiting, spawn and handshake; the error says in which of them it passed.',
  'QUEUE-6':
    'When a caller gives up during a start, the start serves the next waiter; without a waiter it goes on, until another caller needs its slot.',

  // Cost
  'COST-1':
    'What a release, an abort or a timeout costs does not depend on how many callers wait, nor for how many servers or tenants.',
  'COST-2': 'What a lease costs does not depend on how many leases others hold, be they silent or not.',
  'COST-3': 'A pool keeps nothing of callers, leases, instances and tenants that are gone.',
  'COST-4':
    'What an operation costs does not depend on how many successors wait for their backoff, or for the death of their predecessors.',
  'COST-5': 'What a call and a release cost does not depend on how many other servers have spare instances.',

  // Starts and deaths
  'START-1': 'A start that fails rejects the caller that has waited longest; the others wait on.',
  'START-2':
    'A start that fails in any way is a typed error within the deadline, with the stderr tail, and its slot becomes free.',
  'START-3': 'A late event of an instance that is ending changes nothing.',
  'START-4':
    'A start runs on to its startTimeout when its caller gives up, unless another caller needs its slot: it serves the next caller or becomes idle. close() of the drop-in ends it.',
  'START-5': 'A start that is too late names the variables of proxies and certificates that its server did not get.',
  'TURN-1':
    'At most limits.concurrentStarts starts are under way at once, first come, first served; a turn ends when the start is ready, has failed or was ended, or after 3 s.',
  'TURN-2':
    'startTimeout begins with the spawn; a start that waits for its turn is shown by status(), can be ended at once, and is not made when nothing needs it.',
  'HOST-1':
    'Variables of the host are read at each start: for callers, restarts, minIdle, warm() and the drop-in; objects of the host are read once, when it defines a server.',
  'HOST-2':
    'updateServer() replaces the processes that see another host than a new one would: variables that they inherit, and the working directory.',
  'SAME-1': 'A call that changes nothing has no effect: on breakers, instances, counts and events.',
  'SAME-2': 'minIdle has as many ready as it asks for, and no more: also after a crash.',
  'DEATH-1':
    'An exit that the pool did not ask for is noticed at once, code 0 included: an event is emitted, the transport closes, the next call starts a new process.',
  'DEATH-2': 'Messages that a server wrote before its death are still delivered.',
  'DEATH-3': 'Processes that a crashed server leaves behind are killed at once.',
  'EXIT-1':
    'A server that exits is reported as a crash with its code and stderr, also when a closed pipe is seen first: in events, and in the errors of callers and calls.',
  'EXIT-2':
    'The message of an exit quotes the line of stderr that says why, not the last one; the tail stays as it is.',

  // Leases, life and definitions
  'LEASE-1': 'A silent lease is taken back when a caller waits, and not before.',
  'LEASE-2': 'A lease that is held too long is reported once, with the stack of its getServer() call.',
  'LEASE-3': 'A released lease is over: its transport closes once, send rejects, releasing again returns false.',
  'LEASE-4':
    'With reuseLease the calls of one owner for a server and tenant have one lease, and share a start: release() counts once for each holder, each call has its own deadline; other ends are for all.',
  'LIFE-1': 'Idle instances end after idleTimeout.',
  'LIFE-2': 'minIdle instances stay ready, within the budgets.',
  'LIFE-3': 'warm starts instances ahead of calls, and rejects with the reason when none is ready.',
  'LIFE-4': 'An instance ends after maxUses leases, or at maxLifetime with jitter.',
  'TENANT-1': "No instance is ever used by two tenants, nor by two owners, unless reuse is 'tenant'.",
  'TENANT-2': 'All leases and waiting calls of one owner, or one tenant, can be released at once.',
  'TENANT-3': 'Two definitions never share a process if a process could see a difference between them.',
  'TENANT-4':
    'By default an exclusive instance that has served a lease serves the same tenant and owner only; callers without an owner, and shared servers, see no difference.',
  'TENANT-5':
    'An instance that has served no lease serves the oldest caller of its server, whatever its tenant or owner, also while it starts.',
  'TENANT-6': 'releaseOwner ends the idle instances that only this owner could use, and no other.',
  'TENANT-7':
    'What a call changes of a definition (env, args, cwd) reaches its process. Calls with equal values use the same instances, calls with other values never do.',
  'TENANT-8':
    'An instance with values of calls is no spare one; its idle time, eviction, crash recovery, change, release and breaker are as those of others, and stop nobody else.',
  'TENANT-9': 'Wrong values of a call are refused at once, all in one error that shows none of them.',
  'TENANT-10':
    'perTenant of a definition says what differs for each tenant, for every start for one; what fails in it is the error of the call, and nothing is lost.',
  'TENANT-13':
    'A tenant has at most maxInstancesPerTenant instances of a server, whatever their values and owners: its callers wait, those of others do not, and its own idle ones make room.',
  'TENANT-14':
    'Random calls of tenants, owners and values, with releases, crashes and changes: no instance serves a lease with other values, the limits hold, each call comes to an end, and nothing is left.',
  'TENANT-12':
    'With real processes: the values of calls are in no event, error, status, text of a status, ledger or audit line, and in no command line but as args of the server itself.',
  'TENANT-11':
    'env may be a function: it is called once for each start, stands for itself in keys, and its values are secrets; what fails in it is the error of the start.',
  'DEF-3':
    'restart, updateServer, setServer and removeServer that wait for held leases say for which, with their owners.',
  'DEF-4':
    'setServer adds or changes a server: it checks at once, changes nothing when the definition is equal, and waits for no lease; hasServer and getDefinition read what is defined.',
  'DEF-1': 'A changed definition drains and ends the old instances, also those that are starting.',
  'DEF-2': 'A removed server rejects its waiters, and later calls are UNKNOWN_SERVER.',

  'MEM-1': 'An ended server, and a caller that was served or gave up, are not kept in memory.',
  'MEM-2':
    'What is kept of the output of a server takes memory for its bytes, however small the chunks: an incomplete line, the tail of stderr, stderr for a drop-in.',
  'MEM-3':
    'What is bounded by a count is bounded by its size, too: tasks, tools, ids of a server, survivors in the status of an ended job, URIs of subscriptions.',
  'MEM-5':
    'What is kept of open requests is bounded by bytes: their names, the parameters of those that are combined, and their copies for the next process; a request without a copy is answered with why its process was lost, and no message is refused for want of a copy.',
  'MEM-4': 'Memory is flat over thousands of starts and ends, however many other processes the machine has.',

  // The end
  'END-1': 'A graceful shutdown rejects waiting callers, lets requests finish, closes leases, and proves each death.',
  'END-2': 'shutdown() during a start ends everything and does not resolve earlier.',
  'END-3': 'An emergency kills at once; a graceful shutdown becomes an emergency when its time is over.',
  'TREE-1': 'release and shutdown end the complete tree of any server, in bounded time, and report how.',
  'TREE-2': 'An emergency ends 1+50 processes at once.',

  // Noise
  'NOISE-1': 'A server that writes 10 MB to stderr is served.',
  'NOISE-2': 'A server that writes 1,000 lines that are not messages is served.',
  'NOISE-3': 'A server that writes a 50 MB result is served.',
  'NOISE-4': 'A message above maxMessageMB ends the instance that wrote it, and no other.',
  'NOISE-5': 'A server that closes its stdin is ended, and send rejects.',
  'NOISE-6':
    'What a server writes to stdout and is dropped is visible: the first of it in the errors of a start, in status() and in server:noise, which is rate-limited; each line by onerror of drop-in and dedicated leases. Bounded, control characters as codes, without secrets.',
  'ODD-1':
    'An answer that can belong to one request only is its answer, in every mode: with the id in the other form or without an id, after a byte order mark, with an error or result of null beside the other.',
  'ODD-2': 'An answer that belongs to no request, or may belong to several, is counted, kept as a sample and reported.',

  // Sharing
  'SHARE-1':
    'Each session of a shared server is served as if it were the only one: ids, progress, cancellations and notifications reach their own session, once.',
  'SHARE-2': 'Subscriptions are counted by URI, log levels are kept per session.',
  'SHARE-3': 'Requests of a shared server to its clients are refused; a task is visible to its own session only.',
  'SHARE-4': 'A session that ends leaves nothing behind, and takes nothing from other sessions.',
  'SHARE-5':
    'Sessions fill an instance up to maxSessions, the least loaded first, then the next instance, then the wait queue.',
  'SHARE-6':
    'A client that uses capabilities which the pool did not declare to the server causes one warning that names the option.',
  'SHARE-7':
    'capability:undeclared names every capability of a client, or part of one, that is not passed on: tasks, extensions, experimental and unknown ones, too.',
  'FLOW-1': 'An instance works on at most maxInFlight requests at once, taken in turn from its sessions.',
  'FLOW-2': 'The waiting messages of one session are bounded and delay no other session.',
  'REAL-1': '1,000 sessions on one real server: every answer and progress notice reaches its own session, once.',
  'REAL-2':
    '20 pipelined writes of 20 sessions to a server that loses concurrent writes all arrive with maxInFlight: 1.',
  'CONTRACT-1':
    'The clients of SDK 1.16, 1.32 and v2 work the same on shared, exclusive and dedicated leases and on the drop-in.',

  // Requests that were given up and not answered
  'GIVEUP-1':
    'A process with a request that was given up and not answered serves no lease of another tenant or owner: it ends as unfinished.',
  'GIVEUP-2':
    'It serves its own tenant and owner again when it has answered that request, or a ping sent after it, within giveUpGrace; else it is replaced.',
  'GIVEUP-3':
    'A shared process that answers nothing for giveUpGrace after a request was given up is pinged past maxInFlight, and replaced as after a crash when it does not answer.',
  'GIVEUP-4': 'A request that the process never got, or has answered late, does not count.',
  'GIVEUP-5':
    'With maxInFlight, a process on which a given-up request keeps its place when the lease ends serves the next one when it has answered that request itself, and then with all its places; an answer to a ping is not enough. Without it, it ends as unfinished after giveUpGrace.',
  'GIVEUP-6':
    'An exclusive process that answers nothing in the middle of a lease is found as a shared one is; its lease ends or moves as onCrash says. A dedicated one gets no ping of the pool.',
  'GIVEUP-7':
    'A process with a request that was given up ends for another owner only when no other idle process is there.',

  // Failover
  'FAIL-1':
    'When a process is lost, requests that are safe to repeat are sent again once; all others fail at once with the reason.',
  'FAIL-2':
    'The next process gets the state that the sessions had set on the last one: subscriptions, log level. Changed tools are announced.',
  'FAIL-3': 'A process that is being replaced finishes its requests; new requests go to the next process.',
  'FAIL-4':
    'Leases of a server that exited by itself stay if onCrash says so; the restart keeps the slot, and events are emitted.',
  'FAIL-5':
    'restart and updateServer start the new process first where two may run; else they hold new requests, drain, prove the death, and start. When a start fails, the old process stays in service.',
  'FAIL-6':
    'A server that fails again and again opens its breaker: leases end, callers are refused at once with the last stderr output, one probe decides.',
  'REAL-3': 'kill -9 of a shared server under load: no call hangs, no read-only call fails, all sessions go on.',
  'REAL-4': 'restart and a changed definition under load: no call fails.',
  'REAL-5': 'A server in a crash loop never uses more than its slot, and callers get BREAKER_OPEN at once.',
  'REAL-6': 'Tools that changed or vanished with a restart are announced.',
  'HEAL-1':
    'A real shared server, or the child of its shell, that leaks, takes memory, burns CPU or forks beyond its limit is seen, told and replaced, the new one first: no call fails, and no neighbour ends.',
  'HEAL-2':
    'A real exclusive server over its limit ends after its lease, from 110 % on at once, with an error that says limit and figure; no neighbour ends.',
  'HEAL-3':
    'Real servers that together use more than the pool may: idle ones end, starts wait, the largest is replaced under its leases, and no neighbour ends.',
  'HEAL-4': 'The reported total of ten real servers is within 10 % of the unique sets of all their processes.',
  'HEAL-5':
    'The incident with real processes: growth is named in the first burst, levels rise in order, limits hold, it is normal after it, and nothing is left.',
  'HEAL-6':
    'A real server that forks 30 helpers at each interval is found, named and, enforced, ended with them; its neighbours live on.',
  'HEAL-7': 'A monitor that cannot measure real servers says so once, and neither the pool nor a lease notices.',
  'HEAL-8': 'With dryRun the same is told of real servers, and nothing ends.',
  'HEAL-9': 'A real server that leaks is suspected, confirmed and replaced before any limit; no call fails.',

  // The polite guest
  'GUEST-1': 'The host exits when its work is done, although idle servers are in the pool.',
  'GUEST-2': 'An operation that a caller waits for keeps the host alive, and nothing else does.',
  'SIGNAL-1':
    'With handleSignals a signal shuts down all pools gracefully, a second signal at once; then the host ends as it would have without the pool.',
  'GUEST-3': 'The pool installs no signal handler unless asked, writes nothing to the console, and patches nothing.',

  // Restarts
  'RESTART-1':
    'Restarts are bounded by an intensity in a sliding window, with full-jitter backoff that is reset only by a stable uptime.',
  'BREAKER-3':
    'The breakers of a server can be read and reset, for one tenant or all; restart resets them; with cooldown: Infinity one stays open until then, and says so.',
  'BREAKER-2':
    'All owners of a tenant share one breaker for each server; its callers of every owner learn of its state.',
  'BREAKER-4':
    'What breakers keep is bounded: the output of the servers that failed last, the 1,000 breakers of a server that failed last, besides those that are open until they are reset; a failure costs the same however many tenants have failed.',
  'BREAKER-1': 'An open breaker refuses at once, and after its cooldown lets exactly one probe through.',

  // The drop-in for the SDK's transport, and the global pool
  'STDIO-1': "StdioClientTransport behaves as the SDK's, for clients of v1.16, v1 and v2.",
  'STDIO-2':
    'A client v2 that negotiates the era probes the server on a second process, which is dead before the first request.',
  'STDIO-3': 'close() can be repeated and resolves when the complete tree is dead, with onclose exactly once.',
  'STDIO-4': 'The graces of a transport can be set, and many transports end at the same time.',
  'STDIO-5': 'A server that is lost in any way closes its transport exactly once, with the reason.',
  'STDIO-6': "A start that fails is a typed error with Node's error as its cause, and leaves nothing in the pool.",
  'STDIO-7': 'A started transport keeps the host alive; after its end the host exits by itself.',
  'STDIO-8':
    'The drop-in uses only the public surface of the global pool, and reports processes that could not be proven dead.',
  'STDIO-9': 'stderr is inherited, offered as a stream, written to a stream or descriptor, or dropped, byte by byte.',
  'STDIO-10': 'An unread stderr blocks no server, and a slow reader loses nothing.',
  'STDIO-11':
    'The graces of a transport are those of the SDK, unless the host has set others; a message that is too long is reported with the words of the SDK.',
  'STDIO-12':
    'onexit is called once for each process, with exit code, signal and stderr, whatever ended it, before onclose.',
  'STDIO-13': 'close({ wait: false }) resolves at once; the server ends, and onclose is called when it is dead.',
  'STDIO-14':
    'After close({ wait: false }) the transport can be started again at once: the end of the old process calls no onclose then.',
  'GLOBAL-1': 'There is one global pool in a process, also for two installed copies of the package.',
  'GLOBAL-2': 'Options for an existing global pool are refused; after its shutdown there is a new one.',
  'GLOBAL-4': 'A global pool that was made without options is not monitored, and has no limit of memory.',
  'GLOBAL-3': 'The global pool has no cap that the host did not set; caps that it set hold for the drop-in.',

  // macOS and Windows
  'PORT-1': 'The output of ps and PowerShell is read as they write it; a line that is not understood proves nothing.',
  'PORT-2':
    'A ps or PowerShell that is missing, or does not show what is needed, is NOT_SUPPORTED that names it, never a crash.',
  'PORT-3':
    'Callers that ask at the same time share one listing of processes; a spawn, an exit or a signal makes it outdated.',
  'PORT-4': 'With the process table of ps the ladder ends the same trees as with /proc, and no other process.',
  'PORT-5': 'On Windows the end of stdin is the only request to exit; then the tree is killed.',
  'PORT-6':
    'taskkill is run for a process of proven identity, and not where it would mistake another process for a child.',
  'PORT-7': 'On Windows a command is found by the extensions of PATHEXT.',

  // Markers: which instance a process belongs to that has left its tree
  'MARK-1':
    'A mark names one instance, or all of one host, and no other host; an empty or malformed mark matches nothing.',
  'MARK-2':
    'Every process of a server carries its mark, in its environment and as a limit; the pid stays that of the spawn.',
  'MARK-3': 'A server sees the environment of its definition and the mark; the shell adds and loses nothing.',
  'MARK-4': 'A process that leaves its tree with at least one mark is ended with it, and its death is proven.',
  'MARK-5': 'A process that is not ours lives through every sweep, whatever its pid or command line.',
  'MARK-6': 'A sweep repeats until several passes in a row find no process and every newer process was read.',
  'MARK-7': 'A pool inside a pooled server passes the outer marks on.',
  'MARK-8': 'Without a usable shell servers start, too, with the mark of the environment alone.',
  'MARK-10':
    'The sweep of an outer pool also ends processes that carry only marks of inner pools; a value that a server writes into its own variable makes the sweep end no other process.',
  'MARK-11':
    'A mark says something of the process that has it and of what descends from it, and of no other process in its group or session; what is older than a server is never ended with it.',
  'MARK-12':
    'A limit counts only for a process that is wholly of the user of the host, or of a user that can read the key of the server, in the pid namespace and of the login of the host.',
  'MARK-13':
    'A mark in an environment counts only with the key of its instance, which other users cannot read and a server cannot compute for another instance.',
  'MARK-14':
    'Inner hosts are learnt only from processes with the key of the server, and hold only for processes of the same user as those and as the inner host.',
  'MARK-15':
    'A process in a pid namespace below that of the host, such as a container, is not ours by a limit, whichever user it has: it is not ended, moved or waited for.',
  'MARK-16':
    'Whatever a process writes into the variable, it costs the memory of 16 marks at most, and one computation for each host.',
  'SETUID-1':
    'A program that another user has started counts by no limit and as no stray, also when its setuid bit has made it wholly one of our user; nor does what it starts, while it lives.',
  'SETUID-2':
    'A process that a setuid program has raised speaks for no inner host, and no process does for a user while another user has the key.',
  'MARK-18':
    'A limit counts for nothing in a container that shares the pids of the machine, whichever user it has there.',
  'LOOK-3':
    'A look to measure trees reads their members and what is new, and not each time the rest of the machine; nothing is ended by what it shows.',
  'LOOK-1':
    'One look at the process table serves all trees that need one: in one tick, and in one turn of the event loop for those that are due together.',
  'LOOK-2':
    'A search for the mark of one tree judges only the processes that can have it, not those of all other trees.',
  'INIT-1':
    'Where process 1 is not an init, trees are ended from their leaves upward, so that 200 npx starts and ends leave no zombie; zombies after a crash are counted, with the reason.',
  'INIT-2': 'A pool in a container without an init reports it once, with what to do.',
  'THREAD-1': 'Pools in worker threads of one process never signal the servers of each other.',
  'THREAD-2': 'When a worker thread ends by itself, by process.exit or by an uncaught error, its servers end, too.',
  'THREAD-3': 'handleSignals in a worker thread is refused with an error that says why: no signal reaches a thread.',
  'MARK-9': 'A command that the wrapper cannot run is distinguished from a server that exits with the same code.',

  // Guardian: servers die with their host
  'GUARD-1':
    'At the end of its pipe the guardian kills the process groups that it knows, and then all processes with the host mark.',
  'GUARD-2': 'A group is killed only while its leader is the process that the host reported to the guardian.',
  'GUARD-3': 'There is one guardian for all pools of a host, from the first server to the last, and none afterwards.',
  'GUARD-4':
    'A guardian that dies is replaced, and gets the complete state again; one that dies again and again is given up, with a warning.',
  'GUARD-5': 'Without sh a Node is the guardian; without Node the shell sweeps by the limit.',
  'GUARD-7':
    'The command lines of guardian and reaper show a name and paths of programs, nothing of the host; ps, pgrep and top find the guardian by its name.',
  'GUARD-8':
    'A guardian has no more privileges than its host has now; whatever is written into its pipe, it writes to no file but those of the cgroups of its host, and removes no file but the ledger of it.',
  'GUARD-9': 'Copies of the package share a guard only if they call the same functions of it.',
  'GUARD-6': 'A host that cannot run the reaper gets an error when it makes its pool, which says what to do.',

  'ENFORCE-1':
    'A tree that stays over a limit of the host is replaced: a shared one under its leases, others after their lease, at once from 110 % on.',
  'ENFORCE-2': 'A spike is no violation of a limit.',
  'ENFORCE-3':
    'Near the memory limit of all trees idle ones end, the oldest and largest first; at the limit new starts wait until memory is free.',
  'ENFORCE-4': 'A tree with leases is ended for the limit of all trees only if the host has set that limit.',
  'ENFORCE-5': 'With dryRun the monitor says what it would do, and changes nothing.',
  'ENFORCE-6': 'A monitor that cannot measure says so once, and disturbs nothing.',
  'ENFORCE-7': 'The monitor of a pool samples only while servers live.',
  'ENFORCE-8': 'A tree whose memory leaks is told, and replaced where the host asks for that, without a failed call.',
  'INCIDENT-1':
    'The incident: growth is told with its servers in the first burst, levels rise in order, limits hold, and it is normal again after it.',
  'INCIDENT-2': 'An enforced level ends the tree that grows, and none of its neighbours.',
  'INCIDENT-3':
    'While an enforced level lasts, calls that need a start are refused; an essential server ends only from nuclear on.',
  'INCIDENT-4': 'At emergency, enforced, every tree ends, and the pool stays open.',
  'INCIDENT-5': 'A level takes the actions that the host has listed for it.',
  'INCIDENT-6': 'plan() shows what a level would end.',
  'FOLDER-8':
    'The monitor tells once that a folder is over its budget, with the size that it had, and what is done; it looks once a minute.',
  'FOLDER-9':
    'Folders are watched whether servers run or not; a disk that does not answer is told, and holds up no other folder.',
  'FOLDER-11':
    'A folder is only measured once the pool is shut down, where monitoring is not enabled, and when a look is stopped before its end.',
  'GATE-1':
    'While the servers use as much memory as they may, callers that need a start wait, and the limit is named; everything that runs serves on.',
  'GATE-5': 'The error of a caller that waits for memory says that idle essential trees keep a part of it.',
  'GATE-2':
    'While the level of the pool refuses starts, callers that need one are refused at once, with the level and the figure.',
  'OVER-1': 'A lease that ends because of a limit or a level gets an error with the limit, the figure, and what to do.',
  'OVER-2': 'A server that the pool ends for a limit, a leak or a level has not failed: no breaker counts it.',
  'GATE-3': 'Starts that wait for their turn are not made while new starts are held back.',
  'GATE-4': 'A server that is started again for its leases needs a slot, and not that new starts are free.',
  'ENFORCE-10':
    'A changed limit, window or number of expected processes counts for what lives, from the next sample on.',
  'ENFORCE-11': 'What the monitor says that it has done, it has done.',
  'ENFORCE-12': 'The monitor does nothing to a pool that is shut down.',
  'ENFORCE-13': 'What cannot be replaced serves on, and is tried again after growing pauses.',
  'ENFORCE-14':
    'Over limits.cpuLimitPercent the tree that uses most is replaced, no small one in its place, and no idle one ends.',
  'ENFORCE-15': 'What could not be ended in its time is no memory, and no process, that comes free by itself.',
  'INPLACE-1':
    'A shared server without room for a second process gets 30 s for its requests when it is replaced for a limit, and 5 s when it is far over it.',
  'INPLACE-2': 'The error of a caller that waits for a server that is being replaced says so, and what that waits for.',
  'ENFORCE-9': 'While idle trees are ended, no spare ones are started.',
  'FIGURES-1':
    'metrics() and status() show processes, memory and CPU of all trees and of each, by the last sample of the monitor.',
  'FIGURES-2': 'metrics() counts limits that were exceeded, and what the monitor has done about it.',
  'FIGURES-3': 'metrics() tells how many ends of trees were proven, and how long they took.',
  'EVENTS-1': 'The events of the monitor have the documented fields, and the pool emits all but each sample.',
  'EVENTS-2': 'The monitor keeps no host alive.',
  'ALONE-1':
    'A monitor without a pool measures the trees that are added to it by pid, and the host, until they are removed or dead.',
  'ALONE-2': 'It samples from start() to stop(), keeps no host alive, and nothing open while it rests.',
  'ALONE-3': 'It tells what it finds, and takes no action.',
  'ALONE-4': 'A monitor shows a host its documented methods, and nothing of how a pool uses it.',
  'ALONE-5':
    'Descriptors and proportional memory of one tree are shown on demand; a tree that does not answer is waited for 30 s.',
  'ALONE-6': 'What the watches that are included list counts as unexpected processes, until they are stopped.',
  'ALONE-7': 'What a host adds to the monitor of a pool counts for no limit, no level and no figure of the pool.',
  'ALONE-8': 'A watch that was included and cannot be read counts as empty, which is told once; the others count.',
  'ENDALL-1': 'endAll() ends every tree that the pool has when it is called, and nothing else; the pool stays open.',

  'STATUS-1':
    'The status of a pool shows what holds processes together, for the host and for each server, and why there is not more.',

  // Ledger: hosts that died together with their guardian
  'LEDGER-1':
    'The first pool of the next host ends the processes that dead hosts of this user, boot and container left, and reports it.',
  'LEDGER-2': 'A host that lives, or cannot be seen, is left alone.',
  'LEDGER-3':
    'The ledger is private, contains no child pid and no value of a definition, and is removed with the last server.',
  'LEDGER-4':
    'A ledger or folder that is damaged, huge, a link, or owned by another user causes a warning, and nothing more.',
  'LEDGER-5': 'A ledger that was forged or copied by a process of the same user ends no server of a host that lives.',
  'LEDGER-6':
    'Another user cannot take the place for ledgers: a folder with a random name is used then, and found by the next host; the event comes only when there is none.',
  'LEDGER-7':
    'A ledger is written and read only where no other user can exchange a folder, link or file on the way to it.',
  'LEDGER-8':
    'The next host accepts the limit of a process by the login of the host that has died, whoever has logged in for itself.',
  'LEDGER-9':
    'A search for ledgers among any number of files delays neither the shutdown of a pool nor the end of its host.',
  // Strays: abandoned servers of other hosts
  'STRAY-1':
    'Servers that a killed host left behind are listed with their trees and reasons, however they were started.',
  'STRAY-2':
    'Not listed: a server that another process can still write to, our own processes, services, processes of other users, and processes that are not old enough.',
  'STRAY-3':
    'The default patterns match MCP servers as reports show them, and no editors, hosts, or this package itself.',
  'STRAY-4': 'Only a process that is still the same stray gets a signal; there is a report for each entry.',
  'STRAY-5':
    'Strays end with all their descendants, by SIGKILL if necessary, in bounded time during which the host stays alive.',
  'STRAY-6': 'In a container, strays are distinguished from the servers of a host that is process 1.',
  'STRAY-7':
    'Wrong input is refused with what to do; a platform on which strays cannot be recognised is NOT_SUPPORTED.',

  // The dry run
  'PLAN-1': 'plan() shows what would happen: which instances end, why, in which order, by which steps.',
  'PLAN-2': 'plan() changes nothing: no signal, no state, no event.',
  'PLAN-3': 'A plan shows the current processes of each tree, and which of them each signal would reach.',
  'PLAN-4': 'An unknown mode is refused.',
  'RESTARTALL-1':
    'restartAll() restarts every server and reports on each; neither an error of one nor leases that cannot move keep another from being restarted.',
  'RESTARTALL-2':
    'restartAll() restarts no more servers at a time than it was asked to, and shared ones keep their leases.',

  // What an operator sees
  'DISPLAY-1':
    'No line of a status as text is wider than the terminal, whatever names, labels, figures and alerts it has.',
  'DISPLAY-2':
    'No control character of a name, a label or a message is in a status as text, and without color no escape code; colors change nothing else.',
  'DISPLAY-3':
    'The columns of a status as text are aligned, also with characters that take two columns or none; at 80 columns there are all of them.',
  'DISPLAY-4':
    'The terminal monitor shows something at once, and leaves the terminal as it was, and no process: after Ctrl-C, and when nothing reads its output any more.',
  'DISPLAY-5': 'The operations example does what it says, and with --dry-run nothing.',

  // Drills
  'DRILL-1':
    'A drill breaks an instance without leases unless it is told which, measures detection and recovery against the targets, and leaves the pool as it was: as many idle instances, no lease, no failure that counts.',
  'DRILL-2': 'A drill that is aborted, late or overtaken by another end repairs what it has broken, and says so.',
  'DRILL-3': 'A dry run of a drill says what it would do, and does nothing.',
  'DRILL-4': 'A drill that cannot be done is refused with what to do, before it breaks anything.',
  'DRILL-5': 'A hang that no health check would find is said to be that, and is ended by the drill.',
  'DRILL-7':
    'A hang stops every process of a server, also one that has left its session, and each of them goes on when the drill is over.',
  'DRILL-6': 'The leases of a shared instance that a drill breaks are on the next one when it has ended.',
  // No orphan
  'ORPHAN-1':
    'However a server tries to escape, and however its lease, its pool or its host ends, none of its processes lives on: as root and as an unprivileged user.',
  'ORPHAN-2': "Other processes live through all of it: of the same script, with a reused pid, in the host's group.",
  'ORPHAN-3': 'No process lives on after a host with hostile trees was killed, at any moment.',
  // What holds the processes of a server together
  'CONTAIN-1':
    'containment, markers, rlimits, noNewPrivileges and cgroupLimits are set per server, in defaults, or (containment) for the pool; the nearest wins, and contradictions are refused.',
  'CONTAIN-2':
    "containment: 'group' ends, and proves dead, the processes in the group of the server, and leaves alone those that have left it.",
  'CONTAIN-3':
    'A definition that asks for something that cannot be done fails its start with CONTAINMENT_UNAVAILABLE, with what and why; auto starts without it, and reports the problem.',
  'CONTAIN-4': 'Limits by ulimit work in every common shell, and the server cannot raise them.',
  'CONTAIN-5': 'noNewPrivileges holds for the server and all its descendants.',
  'CGROUP-1': 'The place for cgroups is found from mountinfo and the own cgroup, and tested by making one.',
  'CGROUP-2': 'No process escapes from a cgroup: each is asked to exit, killed and proven dead, and no folder is left.',
  'CGROUP-3': 'One write kills all servers of a host, also from another process; nothing else is killed or removed.',
  'CGROUP-4':
    'Limits of a cgroup are written where the controllers are delegated; enabling them changes only our own cgroups, and no more than necessary.',
  'CGROUP-5': 'An end for lack of memory is distinguished from a crash, with the option to raise.',
  'CGROUP-7':
    'A cgroup of a host that was left empty for an hour is removed by a later host; nothing is killed for that.',
  'CGROUP-8':
    'A kill at once kills the whole cgroup of a server if it holds a process that the host may not signal, though a signal went to its group.',
  'CGROUP-6': 'A user without privileges works without a cgroup where none is delegated, and uses one where it is.',
  // What the host has
  'MACHINE-1':
    'The memory of a host is the least that its machine, or any cgroup around it (version 1 or 2), has and has left.',
  'MACHINE-2':
    'What cannot be read of the host, or makes no sense, is left out of a sample: no error, no estimate, no figure out of bounds.',
  'MACHINE-3': 'The CPUs of a host are those on which it may run, or the smallest quota of any cgroup around it.',
  'MACHINE-4':
    'The pids of a host are those of the limit of which the least is left: of any cgroup, of the kernel, or of the user.',
  'MACHINE-5':
    'Pressure of the machine and of the own cgroup, and the load, are in a sample where the kernel tells them.',
  'MACHINE-6':
    'A sample has the descriptors, the heap and the event-loop delay of the host; to measure these keeps no host alive, and costs nothing when it is stopped.',
  'DESCRIPTOR-1':
    'Where the kernel does not say how many descriptors a host has, they are listed the less often the more there are.',
  'MACHINE-7':
    'A host that is moved to another cgroup is measured there; otherwise its cgroups are not looked up again.',
  'MACHINE-8':
    "maxProcesses: 'auto' is what the scarcest of memory, pids and CPUs allows, and says which; the default memory limit is 4,096 MB, or 75 % of what there is.",
  // The audit trail
  'AUDIT-1': 'What the pool does is written in order, one line of JSON each, to a file that only its user can read.',
  'AUDIT-2': 'The file rotates at its size; as many older files are kept as asked, and each line is whole.',
  'AUDIT-3': 'Pools and hosts with the same path lose no line of each other and tear none, also while they rotate.',
  'AUDIT-4':
    'A file that another tool has moved, emptied or removed is begun anew, and a line after one that was cut off is whole.',
  'AUDIT-5':
    'What makes the file unusable (a full disk, no descriptors, a missing folder, a disk that does not answer) is told once, until it works again, and then what waited is written.',
  'AUDIT-6':
    'Nothing is written through a link, to what is no file of this user alone, or where another user could replace it.',
  'AUDIT-7': 'Lines that wait have a limit: beyond, the oldest are dropped, and the next line says how many.',
  'AUDIT-8':
    'A trail keeps no host alive and delays its end by a second at most; what waits when the host exits is written, unless the disk does not answer, and only when the servers are killed.',
  'AUDIT-9': 'No line contains arguments, environment, output of a server, or more of an error than its code.',
  'AUDIT-10':
    'A pool writes each start, end, signal, limit and action with its reason, works the same when the trail cannot be written, and has no listener for it without the option.',
  'AUDIT-11':
    'A host that removes all listeners, of the pool, its cleanup queue or its monitor, switches off neither the trail nor what the pool passes on; it does not see them as listeners.',
  'AUDIT-12': 'Each field of an event that has a line is in that line, or is left out on purpose.',
  'AUDIT-13': 'A line that comes while the last one is being written is written without another event.',
  'AUDIT-14': 'A file that cannot be rotated later is told with the first line.',

  // What is decided by what servers cost
  'LEVEL-1':
    'A higher level is entered at once, and levels may be skipped: nuclear and emergency by the first sample, the lower ones by the second.',
  'LEVEL-2': 'A level is left only after it was lower for the cooldown; the next one is the highest of that time.',
  'LEVEL-3':
    'Levels are reached by unexpected processes, or by the share of the memory limit; a change says what was measured, the threshold, and by what.',
  'LEVEL-4':
    'A spike of one moment, a suspended machine and a clock that is set neither bring a level below nuclear nor end a cooldown.',
  'LEVEL-5': 'Each level has its list of actions, in a fixed order, and a list of the host replaces it.',
  'LEVEL-6':
    'Samples are taken more often from warning on and where the next one decides, less often while nothing runs, within bounds.',
  'TOTAL-1':
    'Near the memory limit of all trees as many idle ones end as are needed, what is ending already counted as free.',
  'TOTAL-2': 'At the memory limit of all trees starts wait; what cannot be measured is no memory that is free.',
  'TOTAL-3':
    'For a limit of all trees the largest one with a lease is replaced, if the host has set the limit; no small one in its place.',
  'TOTAL-4': 'For the memory of the host idle trees end only if that gives back a notable part.',
  'TOTAL-5': 'For the CPU of all trees the one that uses most is replaced, and no idle one ends.',
  'TOTAL-6': 'The limits of all trees cost nothing while they are kept, and never end what they may not.',
  'TOTAL-7': 'The pause after an attempt doubles with each attempt in a row, within a bound.',
  'OWN-1':
    'A tree is replaced for its limit only where that is possible, and again only when it has become urgent or after a pause.',
  'OWN-2': 'A limit, a window or a number of expected processes that is changed counts from the next sample on.',
  'OWN-3': 'A tree that is gone has no figures; clocks of launchers are not mixed with that of the monitor.',
  'OWN-4': 'What a life of a server came to is known to the next ones, unless the definition has changed meanwhile.',
  'OWN-5': 'A tree is over a limit, or leaks, as long as that lasts.',
  'ASSESS-1': 'No healthy tree ends for processes that belong to no tree.',
  'ASSESS-2': 'A level ends no more trees than needed: what is ending counts, and while it cools down none ends.',
  'ASSESS-3': 'A tree that cannot be measured keeps its figures, one of which nothing lives has none.',
  'ASSESS-4': 'What a host has added to the monitor of a pool counts for no total, level or growth.',
  'ASSESS-5': 'What a level ends is what the plan of it shows.',
  'ASSESS-6': 'Of two reasons to end a tree the one that cannot wait counts.',
  'ASSESS-7': 'With dryRun what was said counts as done, until its reason is gone.',
  'ASSESS-8': 'A monitor that is stopped has no level.',
  'ASSESS-9': 'A level ends no healthy neighbour of a tree that forks, whatever becomes of that one.',
  'DEFAULT-1':
    'A level that a default limit has brought reports, ends idle trees and calls the host, and does no more.',
  'DEFAULT-2': 'Such a level hides none that processes have reached: what that one does is done.',
  'UNKNOWN-1':
    'Figures of a tree that cannot be measured now are shown, and decide nothing: no limit, level, growth or end follows from them.',
  'UNKNOWN-2': 'Starts are free again when three samples in a row did not show what all trees use.',
  'UNKNOWN-3': 'What the trees that are measured use is the least that all use: a limit that they exceed is exceeded.',
  'CONSEQ-1': 'A monitor says what it does, and with dryRun the same; nothing of what cannot be done any more.',
  'CONSEQ-2': 'A monitor without a pool, or of one that is shut down, only reports.',
  'CONSEQ-3': 'That starts wait or are refused is said once for each time, and that they are free again, too.',
  'CONSEQ-4': 'What onEmergency throws or rejects with is reported, and breaks nothing.',
  'LOOP-1': 'A monitor samples from a spawn until nothing lives, or from start() until stop().',
  'LOOP-2':
    'stop() frees new starts and ends the level, also while a sample is under way; what samples find while it is stopped is told, and no more.',
  'LOOP-3': 'Samples that fail are told once, and hold no start for ever.',
  'LOOP-4': 'A tree that has not answered is not asked again before it does.',
  'LOOP-9': 'A tree that always answers too late holds up a sample for one interval at most.',
  'LOOP-6': 'A host that samples again and again, as fast as it can, goes on with all else that it does.',
  'LOOP-7': 'What a sample of the host finds has its effect when servers have started meanwhile.',
  'LOOP-8': 'No limit of all trees stays exceeded while nothing is measured.',
  'LOOP-5': 'Where monitoring is not enabled, a monitor that the host starts only reports.',
  'ALARM-1':
    'Spikes, restarts, clock jumps, a suspended machine, vanishing processes and counters that start again exceed no limit, reach no level, and are neither growth nor a leak.',
  'ALARM-2': 'None of these hides a limit that is exceeded, a level that is reached, or growth.',
  'LIMIT-1':
    'A limit is exceeded when the value was over it for most of a long and of a short window, still is, and does not fall fast; no start-up spike is a violation.',
  'LIMIT-2': 'limit:exceeded and limit:recovered come in turn, each once; noise around the limit causes none.',
  'LIMIT-3': 'After an action a limit asks for no other one until the effect shows, within a bound.',
  'LIMIT-4':
    'Gaps between samples, clocks that are set, values that are missing and counters that start again exceed no limit, and recover none.',
  'LIMIT-5': 'From 75 % of a limit on it is a warning, from 90 % critical, from 110 % urgent.',
  'REPLACED-1':
    'Where each process of a server needs more than a limit, replacements come after pauses that grow, by server and kind of limit, within bounds.',
  'REPLACED-2':
    'Such a pause ends when the next one had little for long, needs much more, becomes urgent, or is defined in another way.',
  'REST-1': 'The spare ones of a server that has brought a level rest for pauses that grow, within bounds.',
  'REST-2':
    'A server that has brought a level, and was ended for it, is not started for minIdle until its pause is over; neighbours are.',
  'HEALTH-1':
    'A server that answers is healthy; one missed check makes it degraded, three in a row or no sign of life unhealthy; stopped or gone it is so at once.',
  'HEALTH-2':
    'A server that works on a call that a client waits for, or may wait for the network in it, is busy and is left alone.',
  'HEALTH-3': 'A check that is missed while the machine or the host has no time does not count.',
  'HEALTH-4':
    'An unhealthy server is restarted when no client waits for it; else after unhealthyAfter without any sign of life.',
  'HEALTH-5':
    'A server that has sent anything since its last check is not asked; a refusal is an answer; one that answers a list, but no ping, is healthy.',
  'HEALTH-6':
    'No more than maxUnavailablePercent of the instances of a server, but one, are restarted for their health at once.',
  'HEALTH-7':
    'A health monitor works without a pool, by functions and addresses; a check that throws, hangs or is removed breaks nothing.',
  'HEALTH-8': 'A restart for bad health is one as after a crash: leases follow onCrash, and the breaker counts it.',
  'HEALTH-9': 'A dedicated server is only observed: it is never asked by the pool.',
  'HEALTH-10':
    'A probe of readiness is down when the pool is, an essential server is, or all are; that of liveness looks at no server.',
  'HEALTH-11':
    'Health checks can be switched off for a server and for a pool; wrong options are refused with what to write.',
  'HEALTH-12':
    'Real servers that are frozen, deadlocked, silent or half silent are found and replaced; those that compute or wait for the network are not.',
  'READYCHECK-1':
    'A readyCheck delays ready until it passes; when startTimeout is over before, the error says why it did not.',
  'TIMEOUT-1': 'A request that is not answered within requestTimeout is cancelled and answered with a typed error.',
  'TIMEOUT-2': 'Such a request counts as given up.',
  'STUCK-1':
    'Requests, leases, starts and ends that last for stuckAfter are reported once, with what is known of them; the alert of all but leases lasts as long as they do.',
  'OBSERVE-1': 'An observer learns of each request of a client once, with its outcome; without one nothing is called.',
  'EXPECT-1':
    'A tree is expected to have what its definition says, else what its first sample after it was ready shows, within a bound; what it has beyond that is unexpected.',
  'EXPECT-2':
    'What a tree had all the time for 60 s, and two more, is expected from then on, unless it grows; each raise takes twice as long.',
  'EXPECT-3': 'No jump of the clock, pause or vanished tree changes what is expected, and it never falls.',
  'GROWTH-1':
    'So many more processes within the window, over all trees, are told with the servers that grow, the fastest first; slower growth never is.',
  'GROWTH-2': 'Restarts, spikes and failed readings are no growth.',
  'GROWTH-3': 'A growth is told once for each burst, and again only when it goes on for another window.',
  'GROWTH-4':
    'Spawns are counted at each spawn, also of servers that cannot be measured, so that a burst that no sample sees is told, too.',
  'CPU-1': 'CPU of a tree is its CPU time between two readings, in percent of one core.',
  'CPU-2':
    'A clock that is set, a suspended machine, a restart, or a counter that starts again make the CPU of a tree unknown, never a spike.',
  'VICTIM-1':
    'Whom to end is one order, total and stable: expendable trees first, essential ones last, and these only from nuclear on.',
  'VICTIM-2':
    'For room the tree that was idle longest ends first, for memory old and large idle ones; then the largest with a lease.',
  'VICTIM-3':
    'Levels end the trees that grow fastest, or have most beyond what is expected, and never a healthy neighbour in their place.',
  // Folders with a budget
  'FOLDER-1':
    'A folder with a budget is measured by what its files take on the disk; what cannot be measured is told, and links are not followed.',
  'FOLDER-2': 'To measure a folder blocks no host, and keeps none alive.',
  'FOLDER-3': 'A function for a folder over its budget is told what was measured; when it fails, that is told.',
  'FOLDER-4': 'prune-oldest removes the files that were not changed for longest, until the rest fits.',
  'FOLDER-5': 'A prune spares what is open or mapped, changed within 60 s or meanwhile, and what has a second name.',
  'FOLDER-6': 'A prune never leaves the folder, whatever is exchanged for a link, moved or mounted meanwhile.',
  'FOLDER-7': 'A prune removes nothing of other users, and nothing where others could have put or exchanged it.',
  'FOLDER-10':
    'The search for open files is made once for many files, works with any number of descriptors, and is not blocked by a process that hangs.',
  // Sockets without a server
  'SOCKET-1':
    'removeStaleSockets() removes the socket files of this user that are older than 60 s and refuse a connection.',
  'SOCKET-2': 'removeStaleSockets() touches no other file, no link, and no other folder.',
  'SOCKET-3':
    'A socket stays that accepts, has a full backlog, is bound by a living process, was taken over meanwhile, or cannot be asked.',
  'SOCKET-4': 'removeStaleSockets() refuses what is no folder, and reads a large one in bounded slices.',
  'SOCKET-5':
    'removeStaleSockets() removes no socket of another user, and refuses a folder in which one could exchange files.',

  // What a tree uses
  'USAGE-1': 'What a server uses is the sum over all processes of its tree, such as the Node below a shell.',
  'USAGE-2': 'Zombies are counted apart; threads are those of the living processes.',
  'USAGE-3':
    'The CPU time of a tree never falls, and has the time of members that have ended, whoever has collected them; it is never more than what was used.',
  'USAGE-4':
    'A process that vanishes or is found late, a reused pid, and a counter that starts again cause no spike of CPU time.',
  'USAGE-5': 'A process that vanishes while it is measured is no error.',
  'USAGE-6': 'The memory that is reported for several servers is what only they hold, within 10 %.',
  'USAGE-7': 'Servers that are measured in one tick share one look at the process table.',
  'USAGE-8':
    'After the exit of its leader a tree is measured as long as something of it lives; one that never ran is not.',
  'USAGE-9': 'Open descriptors and proportional memory are read only on demand.',
  'USAGE-10':
    'A host without free descriptors gets those back that are kept for measuring, and after them those by which processes are told apart; when there is none at all, measuring fails with the errno, and works again later.',
  'USAGE-11':
    'A tree that this host did not start is measured by the identity of its first process, and never signalled.',
  'USAGE-12':
    'Without /proc each member is measured by pidusage, which gets one call at a time, for all trees, and is not called again while it hangs.',
  'USAGE-13':
    'Where a cgroup counts memory from its begin, its memory is that of the tree, without what the kernel can take back; its CPU time counts in any cgroup.',
  'USAGE-14':
    'Uptime goes on while the machine sleeps; what a tree has used is neither lost by a sleep nor shown as a spike after it.',
  'USAGE-15': 'What is swapped out counts as memory of its process: swapping is no memory that was given back.',
  'USAGE-16':
    'Files that are kept open take a fixed part of the descriptors of the host at most, and those for measuring none when it has few left.',
  'USAGE-17':
    'Figures of a launcher that are no amounts (missing, negative, not finite) are a tree that cannot be measured; totals and limits never get them.',
  'USAGE-18':
    'Shared memory that is no copy of a file counts as memory of its tree: as much as the process has that has most.',
  'USAGE-19':
    'A process whose main thread has ended counts with the memory that its other threads have; on demand it is hidden.',
  // Watch over what no pool has started
  'WATCH-1':
    'A process of this user that matches and is over its limit of memory, CPU or age is listed with the figures and reasons; no other one is.',
  'WATCH-2':
    'Stuck is what has used too much CPU, or has stood still in state D or T, at all looks of the time that the host has set; what sleeps is not.',
  'WATCH-3':
    'Not listed: this process and its ancestors, processes of other users, guardians, and what belongs to a living pool of this host or another one.',
  'WATCH-4': 'A list has no arguments of processes, since they may hold secrets.',
  'WATCH-5': 'A regular expression that takes for ever does not stop the host.',
  'WATCH-6':
    'A watch reports what has changed since the look before, survives a look that fails, is bounded, and keeps no host alive.',
  'WATCH-10':
    'What nothing else shows of a server counts: its host may live though no ledger names it, and what is below a server of a living pool belongs to it.',
  'WATCH-11':
    'A list of another boot or container, and an entry whose process is another program now, lead to no signal.',
  'WATCH-12':
    'A watch looks at its own processes, however many a different user has; a pattern that was too slow twice is not used again.',
  'WATCH-13': 'To end a long list costs little more than its signals: most of the time only its processes are read.',
  'WATCH-14':
    'Watches and lists of strays show the unique memory of a process as the monitor does: what it shares that is no copy of a file counts, and what other threads have after the end of the main thread.',
  'HANG-1':
    'Of a process in an uninterruptible system call nothing is read that could stop the host; it is checked again when it moves, and gets no signal before.',
  'UNCLAIMED-1':
    'Processes with a mark of this host that no server has, of any copy of the package, are unexpected; no other ones are.',
  'WATCH-7': 'Wrong options and lists are refused with what to do.',
  'WATCH-8':
    'endWatched() ends listed processes and what is below them, by SIGKILL if necessary, in bounded time, with a report for each.',
  'WATCH-9':
    'Right before each signal the process is checked again: another process with its pid, one of another user, this process, its ancestors, and what belongs to a living pool get none.',

  // Exporters
  'PROM-1': 'Each metric for Prometheus has help, its unit in its name, and a row in the docs; promtool accepts them.',
  'PROM-2':
    'Gauges and counters of a pool are what status(), metrics() and the monitor say at the scrape; calls, requests and failures are counted by server from 0 on.',
  'PROM-3':
    'Labels are bounded, with 1,000 tenants, 1,000 servers, and methods that clients invent; no tenant is a label unless asked.',
  'PROM-4':
    'What collectPool returns takes its metrics out of the registry, and nothing else; wrong options and a name that is taken leave nothing behind.',
  'PROM-5':
    'The dashboard and the alert rules of the docs use metrics that exist, and the rules fire as their tests say.',
  'OTEL-1':
    'Each request of a client is one client span `{method} {tool}` and one data point of mcp.client.operation.duration, with the attributes of the conventions.',
  'OTEL-2': 'Each lease is one data point of mcp.client.session.duration; one that ends with a failure says which.',
  'OTEL-3':
    'A span is the child of a valid traceparent in params._meta, else of the active span; `_meta` reaches the server as it came.',
  'OTEL-4': 'The figures of a pool are observed when a reader collects; what instrumentPool returns ends all of it.',
  'CHANNEL-1':
    'Requests of clients are published when they begin and when they end, with how; without a subscriber nothing is.',
  'CHANNEL-2': 'What a host does not import is not loaded: the pool needs neither prom-client nor OpenTelemetry.',
  // Alerts
  'ALERT-1':
    'A condition that has held for the time `for` is one alert, however often it is reported, and its events say how often that was.',
  'ALERT-2':
    'An alert is resolved when its condition stays over; a condition that comes and goes is one alert, not one each time.',
  'ALERT-3':
    'As long as a condition of the whole pool holds, the alerts of its servers that are not more severe are silent.',
  'ALERT-4':
    'An alert that is not acknowledged is repeated, and escalates through all tiers in their time; one that is acknowledged does neither, until it gets more severe.',
  'ALERT-5':
    'Conditions that last, come back or are a breached service level reach the tier that issue 12 names, whatever the times of the tiers are.',
  'ALERT-6':
    'A tier whose `notify` throws, rejects or hangs is told again after pauses that grow, in order for each alert; it holds up no other tier, and the host learns of it.',
  'ALERT-7':
    'Whatever is reported, alerts and what is kept of them are bounded, and what gives way is counted and said.',
  'ALERT-8':
    'Each alert that is raised is resolved, once, when its condition is over, and the counts of its events add up.',
  'ALERT-9':
    'What happens in a pool raises and resolves the alerts of docs/alerts.md, also when the host removes all listeners.',
  'ALERT-10':
    'Alerts have no timer while nothing is wrong, keep no host alive, end with the pool, and are off in a global pool that was made without options.',
  'ALERT-11': 'docs/alerts.md has each option and each rule as the code has it, and its recipes run.',
  'ALERT-12': 'What is shown of an error of `notify` has nothing of an address but its host.',

  // Leaks
  'LEAK-1':
    'Of servers that leak 10 MB an hour and more, 95 % are confirmed within three windows after their warm-up, whatever else their memory does.',
  'LEAK-2':
    'Of servers that are flat, noisy, or have a saw-tooth, a step or growth to a plateau, at most 1 % a day get a false alarm.',
  'LEAK-3':
    'However often samples come, and however long the window is, a sample costs the same, and an instance keeps a bounded number of floors.',
  'LEAK-4': 'A leak is suspected, then confirmed; a verdict is taken back when the memory has settled.',
  'LEAK-5': 'Clock jumps, a suspended machine, gaps and restarts cause no false alarm.',
  'LEAK-6':
    'A server that grows to where its earlier lives had settled does not leak; one that passes it does. What is kept of earlier lives is bounded.',
  'LEAK-7': 'Memory that comes and goes with the load is no leak; memory that requests leave behind is one.',
  'LEAK-8': 'Slope and trend are those of Theil–Sen and of Mann–Kendall.',
  'LEAK-9':
    'A tree that leaks is replaced in a moment without a lease, later with as few as there are, and in any case before it reaches its limit.',

  // Service levels
  'SLO-1': 'Shares and percentiles of 30 days are within 1 % of those of the raw samples, whatever the traffic.',
  'SLO-2':
    'A level is breached when its budget burns over a long and a short window, with ten failures at least; that is told once, and so is its end.',
  'SLO-3':
    'What the host gives up, ends or does wrong counts for nothing; the answer to a wrong request is an answer, and a request without one is lost.',
  'SLO-4':
    'What is kept has a limit: slices of time, buckets of times, 200 servers; a removed server is forgotten after 30 days, or when another needs its place.',
  'SLO-5':
    'Calls, requests, restarts, starts, ends, detections, limits, alerts and memory are counted once, for the pool and for the server.',
  'SLO-6':
    'A queue grows when the least number of callers that wait rises within a minute and never falls; a burst that is served does not count, nor a queue that stays as it is.',
  'SLO-7': 'With 250 sessions at once on 3 shared servers no queue grows, and no request fails.',
  'SLO-8':
    'Without the option, and in a global pool that was made without options, nothing is counted; where no server lives no timer is set.',
  'SLO-9':
    'The targets have the defaults of issue 12; wrong ones, and those without effect, are refused with what to do.',

  // Lanes
  'LANE-1': 'Of all processes that name the same lane one holds it at a time, in the order of arrival.',
  'LANE-2':
    'A holder or a waiter that is killed leaves the queue by itself; what it leaves in the folder is removed by those that come after it.',
  'LANE-3': 'That holds for the lock alone with 100 processes, of which 20 holders and 10 waiters are killed.',
  'LANE-4':
    'run() resolves with exit code or signal, output and peaks, whatever became of the command, and rejects when nothing ran.',
  'LANE-5': 'When a command has exited, nothing of its tree is left before the lane is given on.',
  'LANE-6':
    'A signal, or shutdown(), ends a wait with LANE_ABORTED and a command with its whole tree; calls run in their order.',
  'LANE-7': 'A command that neither writes nor computes is told as stalled, once, and ended only if asked.',
  'LANE-8':
    'A command that holds the lane is refused by it; one that only has the environment of an earlier holder is not.',
  'LANE-9':
    'A command over its memory, processes, CPU time or time is ended with its whole tree; the result says which limit, and the peak. No other tree is touched.',
  'LANE-10': 'The next holder starts when the whole tree of a dead one is proven dead, and tells what it has ended.',
  'LANE-11': 'Names, limits and other input that are wrong are refused at once, all problems in one error.',
  'LANE-12':
    'With 100 processes, 20 killed holders and 10 killed waiters no two commands run at the same time, in the order of arrival.',
  'LANE-13':
    'The folder is private, is the same in every environment, and is refused when others could reach it; two users do not meet.',
  'LANE-14': 'status() and watch() show the holder and the queue from every process.',
  'LANE-15': 'A signal to the host ends the tree first, only with handleSignals.',
  'LANE-16':
    'However the steps of participants mix, and whoever dies, the rule of the tickets lets one hold the lane at a time.',

  // Sequences
  'SEQ-1':
    'A step begins as soon as what it needs is there, side by side with others, never more than `concurrency` at once, the longest remaining path first; what several starts need is started once.',
  'SEQ-2':
    'A dependency is waited for until it has started, is ready or is healthy, as asked; one that is not required, until it is known to be missing.',
  'SEQ-3':
    'Unknown names, self-dependence, duplicates, cycles with their path and all other wrong options are refused at once, in one error.',
  'SEQ-4':
    'An optional step that fails skips what needs it, and the rest goes on; a required one takes down what the start has begun, or keeps what is up if asked.',
  'SEQ-5': 'A step is tried again after pauses that grow, within the time of the whole start.',
  'SEQ-6': 'A start that is aborted, stopped or late at any moment ends as a failure does, and leaves nothing.',
  'SEQ-7':
    'When a step ends by itself, it is started again, and what depends on it is started again, held, left or stopped: once for each incident, in order.',
  'SEQ-8':
    'A stop goes in reverse order; its time is divided by the depth that is left; what exceeds its share is hurried, and what is left is reported.',
  'SEQ-9': 'An emergency stops all at once, also when another stop is under way.',
  'SEQ-10':
    'The report, the status and the plan say the truth: waves, critical path, what is waited for, and for how long.',
  'SEQ-11':
    'Random graphs with random failures, delays, retries, aborts and exits: none starts before what it needs, none stops before its dependents, nothing is left, and the report agrees.',
  'SEQ-12': 'A chain of 10,000 steps is planned, started, skipped and stopped without a deep call.',
  'SEQ-13': 'Steps can be added and removed; a step that could not be stopped is not started a second time.',
  'SEQ-14':
    'Calls from listeners and from functions of steps find a whole state; what a step throws is kept as it is; nothing keeps the host alive but a call under way.',
  'SEQ-15': 'docs/sequences.md shows what plan() returns.',
  'SEQ-16':
    'A call on a cold pool brings up what its server depends on, within its own deadline; DEPENDENCY_FAILED names what failed, and why.',
  'SEQ-17':
    'A dependency is an instance of the tenant of its dependent, and is neither idled out nor evicted while that lives; it serves callers meanwhile, and is not removed.',
  'SEQ-18':
    'pool.start() brings up what is defined, in waves; one that fails, is late or aborted leaves nothing, or keeps what is up if asked.',
  'SEQ-19': 'Servers that nothing depends on are skipped where no slot is left for them.',
  'SEQ-20':
    'When a server ends by itself, those that depend on it are restarted, held, left or stopped: once for each incident, in order; their callers learn when it cannot be started again.',
  'SEQ-21': 'restart() with cascade, and a changed definition, go by the same order; what is up stays.',
  'SEQ-22':
    'A shutdown ends a server when those that depend on it have ended, within one deadline that leaves time for the last wave; plan() says so before, and the report after it.',
  'SEQ-26':
    'Tenants, owners, optional servers, restarts, replacements and ends that meet: nothing waits for ever, starts without what it needs, or loses what it need not.',
  'SEQ-24':
    'With real servers: random graphs with failures and kills are never out of order, and a start that is aborted at any moment leaves nothing.',
  'SEQ-25': 'A shutdown under load, with servers that do not end, ends within its time, in order, and says the truth.',
  'SEQ-23': 'Wrong options about the order of servers are refused at once, all in one error.',

  // Preflight
  'REQ-1':
    'What is required and not there is told with each number and its requirement; what cannot be read is not there.',
  'REQ-2':
    'Who waits for a host looks again after pauses that grow to 5 s, and ends with its signal; a file system that hangs is asked once.',
  'REQ-3':
    'Memory, load, processes and disks are read from the host; with fail REQUIREMENTS_UNMET says what is missing.',
  'REQ-4':
    'Wrong requirements are refused at once, all problems in one error, and so is what the system cannot measure.',
  'REQ-5':
    'A command of a lane waits when it is its turn until the host has what it requires, and tells it; with fail the next one has its turn.',
  'REQ-6':
    'A start of a pool waits, as for a slot, until the host has what limits.requires asks for; its caller gives up at its deadline with what is missing.',
  'REQ-7': 'With fail the callers that need a start are rejected with what is missing now, and no others.',
  'REQ-8': 'The host is looked at only while a start waits for it, at most every 250 ms; else no timer is set.',

  // Configuration files
  'CONFIG-1':
    'The files of Claude Desktop, Claude Code, Cursor, Windsurf, Cline, Gemini CLI, MetaMCP, VS Code and Codex are read.',
  'CONFIG-2':
    'Placeholders are replaced as the host of a file replaces them; one that stays, or has no value, is a problem of its entry.',
  'CONFIG-3': 'Remote and disabled entries and keys of hosts are kept apart; `~` and paths are resolved by the file.',
  'CONFIG-4': 'What is wrong is a problem with file, line, column, key and what to do; the other entries can be used.',
  'CONFIG-5':
    'A file that other users can write is refused; an object reads nothing of the host; no problem shows a secret.',
  'CONFIG-6': 'An input of a file is asked for once.',
  'CONFIG-7': 'Options of a definition in an entry, and those of a pool in the key pool, are read and checked.',
  'CONFIG-8': 'Damaged files and any objects never crash the loader, and what it reads is what a pool takes.',
  'CONFIG-9': 'applyConfig() adds, updates and removes the servers of its source alone.',
  'CONFIG-10': 'applyConfig() lists all that is wrong in one error, and then changes nothing.',
  'CONFIG-11':
    'A watched file is applied after 500 ms of quiet, once, however it is changed, replaced or linked; it ends with the pool.',
  'CONFIG-12': 'What cannot be used of a watched file leaves the last good one in force, and is told once.',
  'CONFIG-13': 'Changed limits of a watched file are told, and not applied.',
  'CONFIG-14': 'Wrong arguments and options are refused at once, all in one error.',
  'CONFIG-15':
    'After 10,000 random changes of a file the pool has the servers of the last valid one; what has not changed was not touched.',
  'CONFIG-16': 'The parsers of configuration files are loaded by mcp-server-pool/config alone.',
  // Packages
  'PACKAGES-1':
    'A server by npx with resolvePackages is one process, with the program, arguments, folders of PATH and variables that npx would give it.',
  'PACKAGES-2':
    'npm is run once for all servers, tenants, pools and hosts that ask it the same, at once or later; in a cold cache all of them come up.',
  'PACKAGES-3':
    'A version that is not pinned is looked up again in the background; what runs keeps its files, which are removed when nothing uses them.',
  'PACKAGES-4':
    'What is not understood, and what npm refuses, is started by npx, with an event that says why; npm is not asked the same again at once.',
  'PACKAGES-5':
    'npm counts for the startTimeout of a start, goes on without its caller, and ends with the last start that needs it, and with the pool.',
  'PACKAGES-6':
    'No value of a variable and no argument of a server is in an event, in a file of the store, or on the command line of npm; the store is private.',
  'PACKAGES-7': 'A program that is installed in the project of a server comes first, as with npx.',
  'PACKAGES-8':
    'server-everything with resolvePackages is 1 process, by npx 3, of the same version, through an upgrade, too.',
  'PACKAGES-9': 'prefetch() installs before anybody waits, with progress; what cannot be had is in its report.',
  'PACKAGES-10': 'Command lines of npx and npm exec are read as they read them, or left to them.',
  'PACKAGES-11': 'Which words name a version in full, a repository or a folder; credentials of a URL are not shown.',
  'PACKAGES-12':
    'The same answer of npm is used where nothing differs on which it depends: tenants share it, other settings do not.',
  'PACKAGES-13': 'What npm and files say is understood, or counts as nothing.',
  'PACKAGES-14': 'Runs of npm are shared, limited and given up in every order.',
  'PACKAGES-15': 'A docker run without --rm, --init or -i, or with a fixed name, is a warning that says why.',
  // A host that had a pool of its own
  'MOVING-1': "The adapter of examples/metamcp: a session's calls at once share one connection, and one process.",
  'MOVING-2': 'Sessions at once get a process each; the spare goes to the next session, and no process serves two.',
  'MOVING-3': 'An exit in use, code 0 included, ends the connection of that session alone; its next call gets another.',
  'MOVING-4':
    'A change while a spare starts: no start is lost, callers that wait are served, sessions keep their process.',
  'MOVING-5': 'A session ends at once, whatever its server ignores; the server is killed.',
  'MOVING-6': 'Sessions and servers that fail, expire or end while something is under way leave nothing behind.',
  'MOVING-7': 'The program of the example shows it, and ends cleanly by a signal.',
  'MOVING-8': 'The parameters and methods of MetaMCP are those of the adapter; remote servers are beside the pool.',
  'MOVING-9': 'Every block of code of the README and of docs/ compiles.',

  // The package
  'PACKAGE-1': 'Every relative link, and every page that is named, is in the package.',
  'PACKAGE-2': 'Every entry point has types for resolvers that read `exports`, and for those that do not.',
  // docs/servers.md
  'SERVERS-1': 'Each server of docs/servers.md was measured, with all questions answered.',
  'SERVERS-2': 'Each definition of docs/servers.md is valid in a configuration file, and holds no key.',
  'SERVERS-3': 'A definition says what the measured facts recommend, or why not.',
  'SERVERS-4':
    'The profiler of servers finds what one costs, asks and needs, and leaves nothing; what it could not find is an error in its answer.',

  // The gateway example
  'GATEWAY-1':
    'Sessions of one tenant share the processes of its shared servers, with its keys; other tenants and sessions of exclusive servers have their own.',
  'GATEWAY-2':
    'Only users with a token get in, from this machine, and only to their own sessions; only operators see metrics and details.',
  'GATEWAY-3': 'A stream whose connection is lost goes on where it was: no message is missing, none comes twice.',
  'GATEWAY-4':
    'A user has at most so many sessions and requests at once, and no other user is concerned; a session that was left makes room.',
  'GATEWAY-5': 'When a server dies, its calls fail at once with the reason, its session is over, and a new one works.',
  'GATEWAY-6':
    'Ctrl-C finishes the calls in flight, refuses new ones and leaves nothing; a second one ends all at once, and clients get an error.',
  'GATEWAY-7': 'The client of the example works with a shared, an exclusive and a dedicated server.',
  'GATEWAY-8': 'What is kept for clients that come back is bounded; a client that would miss something is refused.',
  'GATEWAY-9': 'A message of a server goes to the stream of its request; of the newest request where it does not say.',
  'GATEWAY-10':
    'An error of the pool is 503 where trying again can help, else 502; the words of the pool are for the log alone.',
  'GATEWAY-11':
    'A client that breaks rules costs a bounded amount: refused first requests, ids used twice, answers and messages that are not read.',

  // The dashboard
  'DASHBOARD-1':
    'A request without the token, from another origin, or with a forged host header gets nothing, whatever it asks for.',
  'DASHBOARD-2': 'It listens on the loopback interface, has a new token at each start, and ends with its host.',
  'DASHBOARD-3': 'What a page is told has no values of env, no output of servers, and no whole owner.',
  'DASHBOARD-4':
    'The page shows servers, figures, graphs, alerts, service levels, order and events, and follows them live.',
  'DASHBOARD-5':
    'By the keyboard alone: restart, drain, resume, acknowledge and dry run, each after a question where it changes something.',
  'DASHBOARD-6': 'Markup in names is shown as text; nothing violates the content security policy.',
  'DASHBOARD-7':
    'Controls have names and roles, the focus stays where it is, texts can be read in light and dark, and a phone needs no scrolling sideways.',
  'DASHBOARD-8': 'The host keeps a bounded number of events, points and pages; a page that does not read is cut off.',
  'DASHBOARD-9': 'A lost host is told, and the page goes on when it is back.',
  'DASHBOARD-10': 'However many events come, the page keeps no more elements and points than at the start.',
  // From environment variables
  'ENVIRONMENT-1':
    'Each of the nine variables sets its option, with either prefix; what is not set, or empty, sets nothing.',
  'ENVIRONMENT-2': 'Of two variables for one option that with MCP_POOL_ wins.',
  'ENVIRONMENT-3': 'Wrong and misspelt variables are one error that lists all of them, with what to write instead.',
  'ENVIRONMENT-4': 'Whatever stands in the variables, the pool accepts the result, or all is refused without its text.',
  'ENVIRONMENT-5': 'docs/operations.md has each variable with the option that it sets.',
  'ENVIRONMENT-6': 'shutdownTimeout is the time that a shutdown has, unless the call says another.',

  // Deployment
  'DEPLOY-1':
    'Each file of examples/deploy has room for what its pool may use and for the host, limits that the pool itself would choose there or lower ones, and the figures of the others and of the docs.',
  'DEPLOY-2': 'A shutdown has its time before the host is killed; a health check waits as long as a start may take.',
  'DEPLOY-3': 'The compose file is what the Compose specification allows, and docker compose config reads it.',
  'DEPLOY-4':
    'The manifest is what the API of Kubernetes allows, without unknown fields; it probes what the host answers.',
  'DEPLOY-5': 'The unit is accepted by systemd-analyze, and leaves servers and cgroups to the pool.',
  'DEPLOY-6':
    'The host of examples/deploy answers probes, ends its servers on SIGTERM, and ends at once with wrong variables.',
  'DEPLOY-7': 'strays.mjs lists what hosts have left without its arguments, and ends it only when asked.',

  // A release
  'RELEASE-1': 'The workflow runs on Linux, macOS and Windows, on every line of Node that is supported.',
  'RELEASE-2': 'Servers see the version of package.json, and the changelog describes it.',

  // The option table
  'SCHEMA-1':
    'Each option has its description in the option table, from which the tables of README and docs are generated.',
  'SCHEMA-2':
    'mcp-server-pool/schema.json is generated from the option table: all that a file can hold, and nothing that only code can give.',
  'SCHEMA-3': 'What an option accepts, the schema accepts; what it refuses, the schema refuses.',
  'SCHEMA-4': 'The files of hosts fit the schema, and misspelt keys of the pool and wrong values are found.',

  // Documents
  'DOCS-1': 'The pages of options, events, errors and states are what types, comments and tables of the code say now.',
  'DOCS-2':
    'Each error code is thrown, is described, has the fields of its data as the code gives them, and an advice; no other code is documented.',
  'DOCS-3': 'Each event of each class is described, with its payload and an advice; no other event is documented.',
  'DOCS-4': 'Each exported type of options is in docs/options.md.',
  'DOCS-5': 'The API reference is what the comments of the code say now, and each exported name is in it.',
  'DOCS-6': 'The advice of docs/troubleshooting.md names only codes, events, options and calls that exist.',
  'DOCS-7': 'The programs of docs/parts.md run.',

  // Examples
  'EXAMPLES-1': 'Each folder of examples/ has one command that starts it, on its page and in the head of its program.',
  'EXAMPLES-2': 'Each example says what it does, and leaves no process or file when SIGINT ends it, early or twice.',
} as const satisfies Record<string, string>;
