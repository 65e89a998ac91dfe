/**
 * What this package promises, one sentence each: the promises of the design and what issues say must hold. Titles of tests
 * cite them as `[ID]`; `requirements.test.ts` fails for one that no test cites, and for one that is cited but not here.
 */
export const requirements = {
  // Starting a process
  'SPAWN-1':
    'A process is in the registry in the tick in which it is spawned, and every failure path of a start ends it.',
  'SPAWN-2': 'A missing command is a COMMAND_NOT_FOUND error that says where was looked.',
  'SPAWN-3': 'A missing working directory is a CWD_NOT_FOUND error, not one about the command.',
  'SPAWN-4': 'A command that may not be executed is a COMMAND_NOT_EXECUTABLE error.',
  'SPAWN-5':
    'What the operating system refuses (E2BIG, EMFILE, a missing interpreter) is a SPAWN_FAILED error with its errno.',
  'SPAWN-6': 'A command is looked up in the PATH of the server, never by a shell.',
  'SPAWN-7': 'stderr is always read, kept as a bounded tail, and offered as whole lines.',
  'SPAWN-8': 'A server is leader of a group and a session of its own.',

  // Secrets
  'SECRET-1': 'Values of env appear in no error, event, status or log.',
  'SECRET-2': "A server gets an allow-list of the host's variables, those it names in inheritEnv, and its own env.",

  // The ladder that ends a tree
  'LADDER-1': 'A server that obeys end of file is ended by closing its stdin.',
  'LADDER-2': 'A server that ignores end of file and SIGTERM is ended by SIGKILL, after both graces.',
  'LADDER-3': 'A shell around a server, and a tree of 1+50, end whole.',
  'LADDER-4':
    'A helper that holds stdout open, in the group of the server or in a session of its own, ends with it, in bounded time.',
  'LADDER-5': 'The report says each step, how many lived then, how long it took, and what survived.',
  'LADDER-6': 'What cannot be proven dead is reported in bounded time.',
  'LADDER-7': 'An emergency, or the signal of a caller, goes to SIGKILL at once.',
  'LADDER-8': 'What is forked while a tree ends is ended too.',

  // Whose process is it, and is it dead
  'KIN-1': 'The members of a tree are found whole, also after their parents died.',
  'STRANGER-1': 'No signal goes to a stranger: a recycled pid, a recycled group, the group of the host.',
  'PROOF-1': 'What could not be confirmed dead is reported and quarantined; its slot stays taken.',
  'PROOF-2': 'A zombie is dead; a process that lives under another start time is not ours.',
  'PROOF-3': 'A process table that cannot be read proves nothing.',

  // Registry
  'REG-1': 'The registry finds its entries by id, name and pid; an id is never given twice.',
  'REG-2': 'The consistency check finds and removes a dead entry.',
  'REG-3': 'The consistency check finds and removes an entry whose pid was reused.',
  'REG-4': 'The consistency check finds and repairs an index that disagrees with the entries.',
  'REG-5': 'The registry tells each change once, and counts it once.',

  // Cleanup queue
  'CLEAN-1': 'At most `concurrency` trees are ended at once, in order.',
  'CLEAN-2': 'An attempt that reaches its deadline goes to SIGKILL, one that never comes back is given up.',
  'CLEAN-3': 'A failed attempt is tried again with exponential backoff, as an emergency.',
  'CLEAN-4': 'The status of every job can be asked for.',
  'CLEAN-5': 'The report says what was signalled, how long it took, and what survived.',
  'CLEAN-6': 'A second job of the same id joins the first, and hurries it when it is an emergency.',
  'CLEAN-7': 'A deadline longer than a timer can be is no deadline of one millisecond.',

  // Framing and connection
  'FRAME-1': 'However a stream is cut into chunks, the same messages come out.',
  'FRAME-2': 'A line that is no message is skipped and counted.',
  'FRAME-3': 'A message above the limit, in bytes, breaks its connection and nothing else.',
  'CONN-1': 'What is sent in one tick is written at once.',
  'CONN-2': 'A server that does not read holds its callers back.',
  'CONN-3': 'send rejects when the message cannot be written, and leaves nothing behind.',
  'CONN-4': 'What waits to be written is bounded, in bytes, and says so when the bound is reached.',

  // Faults of this library
  'FAULT-1':
    'What this library throws while it works on messages ends the server concerned with INTERNAL_ERROR, cause attached; every request that it was asked is answered.',
  'FAULT-2': 'A fault of this library is an internal:error event that names the server, and never a skipped message.',
  'FAULT-3': 'Nothing that a server sends or a client throws is a fault of this library.',

  // Routing
  'ROUTE-1': 'Ids are remapped and come back with their type: 1 is not "1".',
  'ROUTE-2': 'A late reply to an earlier session reaches no later one.',
  'ROUTE-3': 'A cancellation reaches the request that it means; an unknown one is dropped.',
  'ROUTE-4': 'A progress token comes back as it was given, with its type.',
  'ROUTE-5':
    'initialize is sent once per process; clients are answered from the cache, an older version that they ask for is theirs.',
  'ROUTE-6': 'ping is answered locally, both ways.',
  'ROUTE-7': 'A request of the server is refused when no client is there to answer.',
  'ROUTE-8':
    'A request that is lost with its server is answered with an error that says why, and whether it may be retried.',
  'ROUTE-9': 'Through a dedicated server every message passes unchanged.',

  // Session
  'SESS-1': 'onclose is called exactly once, whatever ended the lease.',
  'SESS-2': 'Handlers that a client chains are all called; one that throws breaks nothing.',
  'SESS-4':
    'An answer is handed over after the notifications before it were looked at, which the SDKs do a microtask later.',
  'SESS-3': 'send rejects before the start and after the end, with a reason.',

  // Options
  'OPT-1': 'Wrong options are one error that lists each problem once.',
  'OPT-2': 'An unknown key is refused with the nearest known name.',
  'OPT-3': 'A negative number, a wrong type, an empty command and a maxInstances above the total are refused.',
  'OPT-4': 'An option whose feature is not there yet is NOT_SUPPORTED, never ignored.',
  'OPT-5': 'Every default is the documented one, and contradicts nothing that the host set.',
  'OPT-6': 'The version that servers are told is that of the package.',

  // Events and states
  'EVENT-1': 'A listener that throws or rejects breaks nothing and becomes listener:error.',
  'EVENT-2': 'Listeners are added, called once, and taken off as by eventemitter3.',
  'STATE-1': 'The states of a server change only as its table says; a late event changes nothing.',

  // Budget and queue
  'BUDGET-1': 'Slots cover starting, running, stopping and quarantined trees; the caps hold under any interleaving.',
  'QUEUE-1': 'Callers are served in order of arrival: 50 at once on a cold definition with at most 3 processes.',
  'QUEUE-2': 'No caller is lost when others abort or time out in any order.',
  'QUEUE-3':
    'The oldest waiter that can be served goes first, whatever its server; an idle instance of another ends for it.',
  'QUEUE-4': 'The wait queue is bounded and says so when it is full.',
  'QUEUE-5': 'One deadline covers waiting, spawn and handshake, and says for what was waited.',
  'QUEUE-6':
    'When a caller gives up during a start, the start serves the next waiter; without one it is ended and the slot comes back.',

  // Starts and deaths
  'START-1': 'A start that fails rejects the caller who waits longest; the others go on.',
  'START-2':
    'A start that fails in any way is a typed error within the deadline, with the stderr tail, and its slot is free again.',
  'START-3': 'A late event of an instance that ends changes nothing.',
  'DEATH-1':
    'An exit that nobody asked for is noticed at once, code 0 included: told, the transport closes, the next call starts anew.',
  'DEATH-2': 'What a server wrote before it died still arrives.',
  'DEATH-3': 'What a crashed server leaves behind is killed at once.',

  // Leases, life and definitions
  'LEASE-1': 'A silent lease is taken back when somebody waits, and not before.',
  'LEASE-2': 'A lease that is held too long is told once, with the stack of its borrower.',
  'LEASE-3': 'A released lease is over: its transport closes once, send rejects, releasing again returns false.',
  'LIFE-1': 'Idle instances end after idleTimeout.',
  'LIFE-2': 'minIdle of them stay ready, within the budgets.',
  'LIFE-3': 'warm starts instances ahead, and tells why none is ready.',
  'LIFE-4': 'An instance ends after maxUses leases, or at maxLifetime with jitter.',
  'TENANT-1': 'No instance is ever used by two tenants, nor by two owners where reuse says so.',
  'TENANT-2': 'All leases and waiting calls of one owner, or one tenant, can be released at once.',
  'TENANT-3': 'Two definitions of which a process could see a difference never share one.',
  'DEF-1': 'A changed definition drains the old instances and ends them, also while they start.',
  'DEF-2': 'A removed server rejects its waiters and is unknown.',

  // The end
  'END-1': 'A graceful shutdown rejects who waits, lets requests finish, closes leases, and proves each end.',
  'END-2': 'shutdown() during a start ends everything and does not resolve before.',
  'END-3': 'An emergency kills at once; a graceful shutdown whose time runs out becomes one.',
  'TREE-1': 'release and shutdown end the whole tree of any server, in bounded time, and say how.',
  'TREE-2': 'An emergency ends 1+50 processes at once.',

  // Noise
  'NOISE-1': 'A server that writes 10 MB of stderr is served.',
  'NOISE-2': 'A server that writes 1,000 lines that are no messages is served.',
  'NOISE-3': 'A server that writes a 50 MB result is served.',
  'NOISE-4': 'A message above maxMessageMB ends the instance that wrote it, and nothing else.',
  'NOISE-5': 'A server that closes its stdin is ended, and send rejects.',

  // Sharing
  'SHARE-1':
    'Each session of a shared server is served as if it were alone: ids, progress, cancellation, notifications reach their own session, once.',
  'SHARE-2': 'Subscriptions are counted by URI, log levels are kept per session.',
  'SHARE-3': 'Requests of a shared server to its clients are refused; tasks are seen by their own session only.',
  'SHARE-4': 'A session that ends leaves nothing behind, and takes nothing from others.',
  'SHARE-5':
    'Sessions fill an instance up to maxSessions, the least loaded first, then the next instance, then the wait queue.',
  'SHARE-6':
    'A client that counts on capabilities its server was not told of causes one warning that names the option.',
  'FLOW-1': 'At most maxInFlight requests are under way on an instance, taken in turn from its sessions.',
  'FLOW-2': 'What waits of one session is bounded and delays no other.',
  'REAL-1': '1,000 sessions on one real server: every answer and progress notice reaches its own session, once.',
  'REAL-2': '20 pipelined writes of 20 sessions to a server that loses concurrent ones all arrive with maxInFlight: 1.',
  'CONTRACT-1':
    'The clients of SDK 1.16, 1.32 and v2 work the same on shared, exclusive and dedicated leases and on the drop-in.',

  // Failover
  'FAIL-1': 'When a process is lost, what is safe to repeat is sent again once, all else fails at once with why.',
  'FAIL-2':
    'The next process is told what the sessions had told the last: subscriptions, log level; changed tools are announced.',
  'FAIL-3': 'A process that is replaced finishes what it has, new requests go to the next.',
  'FAIL-4': 'Leases whose server ended unasked stay where onCrash says so; the restart keeps the slot, and is told.',
  'FAIL-5':
    'restart and updateServer start the new process first where two may run, else hold, drain, prove, start; a start that fails leaves the old one in service.',
  'FAIL-6':
    'A server that fails again and again opens its breaker: leases end, callers are refused at once with the last words, one probe decides.',
  'REAL-3': 'kill -9 of a shared server under load: no call hangs, no read-only call fails, all sessions go on.',
  'REAL-4': 'restart and a changed definition under load: no call fails.',
  'REAL-5': "A crash-looping server never uses more than its slot, and callers get the breaker's error at once.",
  'REAL-6': 'Tools that changed or vanished with a restart are told.',

  // The polite guest
  'GUEST-1': 'The host ends by itself when its work is done although idle servers are pooled.',
  'GUEST-2': 'The host is held open by what somebody waits for, and by nothing else.',
  'SIGNAL-1':
    'With handleSignals a signal shuts all pools down gracefully, a second one at once, and then ends the host as it would have.',
  'GUEST-3': 'The pool sets no signal handler unless asked, writes nothing to the console, patches nothing.',

  // Restarts
  'RESTART-1':
    'Restarts are bounded by an intensity in a sliding window, with full-jitter backoff that begins anew only after a stable uptime.',
  'BREAKER-1': 'An open breaker refuses at once and, when it has cooled down, lets exactly one probe through.',

  // The drop-in for the SDK's transport, and the global pool
  'STDIO-1': "StdioClientTransport behaves as the SDK's, for clients of v1.16, v1 and v2.",
  'STDIO-2': 'A client v2 that negotiates tries a server out on a second process, which is gone before it begins.',
  'STDIO-3': 'close() can be repeated and resolves when the whole tree is dead, with onclose exactly once.',
  'STDIO-4': 'The graces of a transport can be set, and many end side by side.',
  'STDIO-5': 'A server that is lost in any way closes its transport exactly once, and says why.',
  'STDIO-6': "A start that fails is a typed error with Node's own as its cause, and leaves nothing in the pool.",
  'STDIO-7': 'A started transport holds the host open; after its end the host ends by itself.',
  'STDIO-8': 'The drop-in uses only the public surface of the global pool, and tells what could not be proven dead.',
  'STDIO-9': 'stderr is inherited, offered as a stream, given to a stream or descriptor, or dropped, byte by byte.',
  'STDIO-10': 'No server is blocked by a stderr that nobody reads, and a reader that is slow loses nothing.',
  'GLOBAL-1': 'There is one global pool in a process, also for two installed copies of the package.',
  'GLOBAL-2': 'Options for a global pool that exists are refused; after its shutdown there is a new one.',
  'GLOBAL-3': 'The global pool has no cap that the host did not set; those it sets hold for the drop-in.',

  // macOS and Windows
  'PORT-1': 'What ps and PowerShell say is read as they write it; a line that is not understood proves nothing.',
  'PORT-2':
    'A ps or PowerShell that is missing, or cannot say what is needed, is NOT_SUPPORTED that names it, never a crash.',
  'PORT-3': 'One look serves all who ask within it, but nobody after a spawn, an exit or a signal.',
  'PORT-4': 'With the table of ps the ladder ends the same trees as with /proc, and touches no stranger.',
  'PORT-5': 'On Windows a server is asked by the end of its stdin only, then its tree is killed.',
  'PORT-6': 'taskkill is run for a process of proven identity, and not where it would take a stranger for a child.',
  'PORT-7': 'On Windows a command is found by the extensions of PATHEXT.',

  // Markers: whose is a process that has left its tree
  'MARK-1': 'A mark names one instance or all of a host, never a neighbour; an empty or malformed one matches nothing.',
  'MARK-2':
    'Every process of a server bears its mark, in its environment and as a limit, under the pid that was spawned.',
  'MARK-3': 'A server sees the environment of its definition and the mark, and nothing that a shell added or lost.',
  'MARK-4': 'What leaves a tree in any way that a mark outlives is ended with it, and its death is proven.',
  'MARK-5': 'A process of somebody else lives through every sweep, whatever its pid or command line.',
  'MARK-6': 'A sweep repeats until nobody is found several times in a row and no newer process was not looked at.',
  'MARK-7': 'A pool inside a pooled server hands the outer marks on.',
  'MARK-8': 'Without a usable shell servers start all the same, with the mark of the environment alone.',
  'MARK-10':
    'The sweep of an outer pool also ends what only bears the marks of pools inside, and what a server writes into its own variable makes it end nobody else.',
  'INIT-1':
    'Where process 1 is no init, trees are ended from their leaves upward, so that 200 npx starts and ends leave no zombie; those that crashes leave are counted, with the reason.',
  'INIT-2': 'A pool in a container without an init says so once, with what to do about it.',
  'THREAD-1': 'Pools in worker threads of one process never touch the servers of one another.',
  'THREAD-2': 'When a worker thread ends by itself, by process.exit or by an uncaught error, its servers end with it.',
  'THREAD-3': 'handleSignals in a worker thread is refused with a clear error: no signal reaches one.',
  'MARK-9': 'A command that the wrapper cannot run is told from a server that ends with the same code.',

  // Guardian: servers die with their host
  'GUARD-1':
    'At the end of its pipe the guardian kills the groups it was told of, and then all that bears the host mark.',
  'GUARD-2': 'A group is killed only while its leader is the process that the guardian was told of.',
  'GUARD-3': 'There is one guardian for all pools of a host, from the first server to the last, and none after it.',
  'GUARD-4':
    'A guardian that dies is replaced, and told everything again; one that cannot live is given up, with a warning.',
  'GUARD-5': 'Without sh a Node keeps watch; without Node the shell sweeps by the limit.',
  'GUARD-6': 'A host that cannot run the reaper is told so when it makes its pool, and what to do.',

  'STATUS-1':
    'The status of a pool says what keeps processes together, for the host and each server, and why not more.',

  // Ledger: what died together with its guardian
  'LEDGER-1':
    'The first pool of the next host ends what dead hosts of this user, boot and container left, and reports it.',
  'LEDGER-2': 'A host that lives, or cannot be seen, is left alone.',
  'LEDGER-3':
    'The ledger is private, holds no child pid and no value of a definition, and is gone with the last server.',
  'LEDGER-4': 'A ledger or folder that is damaged, huge, a link, or of somebody else is a warning, and nothing more.',
  // Strays: abandoned servers of other hosts
  'STRAY-1': 'Servers that a killed host left behind are listed with their trees, and why, however they were started.',
  'STRAY-2':
    'No server that somebody can still speak to is listed, nor what is ours, a service, of another user, or not old enough.',
  'STRAY-3': 'Default patterns know MCP servers as reports show them, and no editors, hosts, or this package itself.',
  'STRAY-4': 'Only what is still the same stray gets a signal; each entry is answered for.',
  'STRAY-5':
    'Strays end with all that is below them, with SIGKILL if need be, in bounded time that the host stays for.',
  'STRAY-6': 'In a container, strays are told from the servers of a host that is process 1.',
  'STRAY-7': 'Wrong input is refused and says what to do; a platform that cannot tell strays is NOT_SUPPORTED.',

  // The dry run
  'PLAN-1': 'What plan() says is what then happens: who ends, why, in which order, by which steps.',
  'PLAN-2': 'plan() touches nothing: no signal, no state, no event.',
  'PLAN-3': 'A plan shows the processes of each tree now, and whom each signal would reach.',
  'PLAN-4': 'A mode that is none is refused.',
  // No orphan
  'ORPHAN-1':
    'However a server tries to get away, and however its lease, its pool or its host ends, nothing of it lives on: as root and as nobody.',
  'ORPHAN-2':
    "Processes of somebody else live through all of it: of the same script, with a recycled number, in the host's group.",
  'ORPHAN-3': 'Nothing lives after a host with hostile trees was killed at any moment.',
  // How far the processes of a server are held together
  'CONTAIN-1':
    'containment, markers, rlimits, noNewPrivileges and cgroupLimits are set per server, in defaults, or (containment) for the pool; the nearest wins, and what does not go together is refused.',
  'CONTAIN-2':
    "containment: 'group' ends, and proves dead, what stays in the group of the server, and leaves alone what has left it.",
  'CONTAIN-3':
    'What a definition asks for and cannot be had fails its start with CONTAINMENT_UNAVAILABLE that says what and why; auto goes without, and notes the problem.',
  'CONTAIN-4': 'Limits by ulimit hold in every usual shell, and the server cannot raise them.',
  'CONTAIN-5': 'noNewPrivileges holds for the server and all that it starts.',
  'CGROUP-1': 'The place for cgroups is found from mountinfo and the own group, and tried out by really doing it.',
  'CGROUP-2': 'Nothing leaves a cgroup: every escape is asked, killed and proven dead, and no folder is left.',
  'CGROUP-3':
    'One write kills all servers of a host, from a process of its own as well; nothing else is killed or removed.',
  'CGROUP-4':
    'Limits of a cgroup are written where the controllers are delegated; enabling them changes what is ours and no more than is needed.',
  'CGROUP-5': 'An end for lack of memory is told from a crash, with the option to raise.',
  'CGROUP-6': 'A user who is nobody special falls back without a delegated group, and uses one that is.',
} as const satisfies Record<string, string>;
