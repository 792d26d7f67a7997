/**
 * The shapes that cross into the addon. Types only: `addon.ts` loads it.
 *
 * Values cross, resources do not: a file descriptor is a plain number that its receiver closes.
 */
import type { FileOp } from './file-op.ts';
import type { IdMaps, LaunchPlan } from './plan-types.ts';
import type { StatsAddon } from './stats-types.ts';

export type * from './file-op.ts';
export type * from './plan-types.ts';

/** What every native failure carries; the addon rejects or throws an Error with these fields. */
export interface NativeError extends Error {
  /** What was being done, in words: "exec", "mount overlay", "open mount source". */
  readonly step: string;
  /** errno(3), or 0 where no system call failed. */
  readonly errno: number;
  /** The symbolic errno, "ENOENT", or "" where errno is 0. */
  readonly code: string;
  /** On what; empty where the step needs no object. */
  readonly path: string;
}

// ---------------------------------------------------------------- launches

/** An encoded plan; immutable, launched any number of times. */
export interface PreparedPlan {
  readonly bytes: number;
}

/** Where one of the three standard streams goes. */
export type StdioSpec =
  | { type: 'null' }
  /** Into the log that the monitor pumps; stdout and stderr only. */
  | { type: 'log' }
  /** The caller's own descriptor, duplicated for the process. */
  | { type: 'fd'; fd: number }
  /** A fresh pipe; our end comes back in the result and is the caller's to close. */
  | { type: 'pipe' };

export interface LogPath {
  /** A regular file, or none yet: opened for appending, created with mode 0640. */
  path: string;
  /** A directory that `path` begins with, from which on no symbolic link is followed. */
  within?: string;
}

export type LogSpec =
  | ({ type: 'cri'; maxLine: number } & LogPath)
  /** Bytes as they are, moved by splice(2) to files or sockets. */
  | { type: 'raw'; stdout: number; stderr: number };

export interface LaunchOptions {
  stdio: [StdioSpec, StdioSpec, StdioSpec];
  log?: LogSpec;
  /** Lets clients attach. Streams of type 'log' are then kept readable without a log, too. */
  attach?: AttachMode;
  /** It may be started much later: its log is opened by the start, as an `EmbryoStart` says. */
  embryo?: boolean;
  /** execve at once, in the same round trip; `start` must not be called. */
  startAtOnce?: boolean;
}

/** One command, run to its end. */
export interface RunOptions {
  /** The process's own id; the plan's does not count. */
  id: string;
  /** Instead of the plan's. */
  argv: string[];
  /** Bytes kept of each stream; what follows is read and dropped. */
  maxOutput: number;
}

export interface RunResult {
  /** 0–255; 128 + n for a death by signal n. */
  exitCode: number;
  /** Absent: nothing was written. */
  stdout?: Buffer;
  stderr?: Buffer;
  /** Streams that other processes hold open; the caller's to read on and to close. */
  stdoutRest?: number;
  stderrRest?: number;
  /** Without `exec`; `process` ends where the filter is loaded, or the program run. */
  times: LaunchTimes;
  /** What the monitor took until it knew that it had ended, s. */
  lasted: number;
}

export interface AttachMode {
  /** Stdin is a pipe that the monitor holds open; its StdioSpec is 'null'. Not with a terminal. */
  stdin: boolean;
  /** The first attach client with stdin to end ends stdin, too. */
  stdinOnce: boolean;
}

export interface LaunchResult {
  /** Host PID. */
  pid: number;
  uid: number;
  gid: number;
  groups: number[];
  /** Values that the host did not permit and that were clamped: 'oomScoreAdj', 'rlimit'. */
  warnings: ('oomScoreAdj' | 'rlimit')[];
  /** Our ends of the pipes asked for with { type: 'pipe' }. */
  pipes: [number | undefined, number | undefined, number | undefined];
  /** Of an embryo: which files and mounts its mount sources were, for its start to compare. */
  sources?: Uint8Array;
  times: LaunchTimes;
}

/** What the monitor took for the parts of a launch, s; one of an older version tells none. */
export interface LaunchTimes {
  /** From the message to the child's first instruction. */
  clone?: number;
  /** Joining cgroups of v1; one of v2 is joined by the clone. */
  cgroup?: number;
  /** Making the root file system, and hiding parts of it. */
  mounts?: number;
  /** What else the child did before it was ready. */
  process?: number;
  /** From the wake, or from being ready, until execve was seen to be over. */
  exec?: number;
}

/** What the start of an embryo has to check and to open. */
export interface EmbryoStart {
  /** As it was launched. */
  plan: PreparedPlan;
  /** As its launch has told them. */
  sources: Uint8Array;
  /** With a log of type 'cri'. */
  log?: LogPath;
}

// ---------------------------------------------------------------- monitor

export interface SandboxSetup {
  /** New namespaces of the pod; what is false is the host's. */
  net: boolean;
  ipc: boolean;
  uts: boolean;
  sharedPid: boolean;
  /** End the pod when this connection closes. */
  attached: boolean;
  hostname: string;
  /** Bytes of /dev/shm; 0 for none. */
  shmSize: number;
  sysctls: [name: string, value: string][];
  /** A user namespace for the pod, which owns its other namespaces. */
  userNamespace?: IdMaps;
  /** The runtime's root directory; the monitor sees nothing else of the host. */
  rootDir: string;
  /** Directory that receives exit records. */
  exitDir: string;
}

export interface EntryStatus {
  id: string;
  state: 'parked' | 'running' | 'exited';
  exec: boolean;
  pid: number;
  /** CLOCK_REALTIME in ns; 0n while it has not started, or not ended. */
  startedAt: bigint;
  finishedAt: bigint;
  /** 0–255; 128 + n for a death by signal n. */
  exitCode: number;
  /** The signal that ended it, or 0. */
  signal: number;
  droppedLogBytes: bigint;
}

/** A connection to one pod's monitor. Every promise rejects with a NativeError. */
export interface MonitorConnection {
  readonly pid: number;
  /** Called for each exit, on the loop, after the log is drained and the record is written. */
  onExit: ((status: EntryStatus) => void) | null;
  /** Called once, when the monitor's end is gone; every pending promise has been rejected. */
  onClose: (() => void) | null;
  hello(): Promise<{ version: number; pid: number; pod: string; hasSandbox: boolean }>;
  /**
   * Makes what every pod with these namespaces needs, before `sandbox`, which has to ask for the
   * same ones and for no user namespace. A monitor that is no pod yet ends with its connection.
   */
  prepare(namespaces: Pick<SandboxSetup, 'net' | 'ipc' | 'uts'>): Promise<void>;
  sandbox(setup: SandboxSetup): Promise<{ reaperPid: number }>;
  /** Clones the process and runs every step; it is parked before execve. */
  launch(plan: PreparedPlan, options: LaunchOptions): Promise<LaunchResult>;
  /**
   * Launches a command, /dev/null as its stdin, and waits for its end: it is reaped and forgotten
   * then. `delete` ends it before. The plan is that of an exec; opens what it needs at once.
   */
  run(plan: PreparedPlan, options: RunOptions): Promise<RunResult>;
  /**
   * Lets a parked process exec. Rejects with step "exec" where execve fails, and of an embryo with
   * ESTALE, step "start", where one of its mount sources leads elsewhere by now: it stays parked.
   * With step "start", too: ESRCH where it has died, ENOENT where there is none.
   */
  start(id: string, embryo?: EmbryoStart): Promise<{ startedAt: bigint; times: LaunchTimes }>;
  /** `all` reaches every process of the entry's cgroup. ESRCH once it has exited. */
  signal(id: string, signal: number, all: boolean): Promise<void>;
  /** Kills what is alive and forgets the entry and its record. Unknown ids are no error. */
  delete(id: string): Promise<void>;
  /** As the log of a launch: see LogPath. */
  reopenLog(id: string, path: string, within?: string): Promise<void>;
  resize(id: string, rows: number, cols: number): Promise<void>;
  state(): Promise<EntryStatus[]>;
  /** A socket made inside the pod's network namespace. */
  socket(domain: number, type: number, protocol: number): Promise<number>;
  /** The pty master of an entry; the caller's to close. */
  terminal(id: string): Promise<number>;
  /**
   * Joins the streams of a process that runs, beside its log. `output` is read: frames of
   * `AttachFrame` (native/plan/protocol.h). `input` is written. Both are pipes, not blocking, and
   * the caller's to close. A reader that falls 1 MiB behind is cut off. ENOSYS: the monitor is of
   * an older version. ESRCH: it has ended. EAGAIN: it has 16 clients already. EOPNOTSUPP: its
   * output is moved elsewhere with splice(2).
   */
  attach(
    id: string,
    streams: { stdin: boolean; stdout: boolean; stderr: boolean },
  ): Promise<{ output: number; input?: number }>;
  /** Kills everything in the pod and ends the monitor. */
  shutdown(): Promise<void>;
  /** Closes the connection; the monitor goes on (unless its pod is attached). */
  close(): void;
}

export interface MonitorSpawn {
  /** The coracle-monitor executable; it runs from a sealed copy. */
  executable: string;
  /** Shown in `ps`. */
  podId: string;
  /** Path of the unix socket that it listens on. May be longer than sun_path. */
  socket: string;
}

// ---------------------------------------------------------------- files, processes, seccomp

export interface SpawnOptions {
  file: string;
  argv: string[];
  env: string[];
  stdin?: string;
  cwd?: string;
  timeoutMs?: number;
  maxOutput?: number;
}
export interface SpawnResult {
  /** 0–255, or 128 + n for a death by signal n. */
  exitCode: number;
  stdout: string;
  stderr: string;
  timedOut: boolean;
}

/** An OCI seccomp section (runtime spec, linux.seccomp), already filtered for this host. */
export interface SeccompSpec {
  defaultAction: string;
  defaultErrnoRet?: number;
  architectures: string[];
  flags?: string[];
  syscalls: {
    names: string[];
    action: string;
    errnoRet?: number;
    args?: { index: number; value: bigint; valueTwo: bigint; op: string }[];
  }[];
}

/** A rule of the cgroup device controller; -1 for any number. */
export interface DeviceRule {
  allow: boolean;
  type: 'a' | 'b' | 'c';
  major: number;
  minor: number;
  access: string;
}

// ---------------------------------------------------------------- network

export interface BridgeSpec {
  name: string;
  /** "10.88.0.1/16" forms; the bridge's own addresses. */
  addresses: string[];
  mtu: number;
}
export interface VethSpec {
  /** Name in the host, at most 15 bytes. */
  hostName: string;
  /** Name in the pod: "eth0". */
  podName: string;
  bridge: string;
  /** A process inside the pod's network namespace. */
  podPid: number;
  mtu: number;
  mac: string;
  /** "10.88.0.5/16" forms. */
  addresses: string[];
  /** Default gateways, one an address family. */
  gateways: string[];
  /** An AF_NETLINK/NETLINK_ROUTE socket of the pod's namespace (MonitorConnection.socket). */
  podNetlinkFd: number;
}

// ---------------------------------------------------------------- layers

export interface LayerSource {
  /** The blob's file. */
  blob: string;
  compression: 'none' | 'gzip' | 'zstd';
}
export interface ApplyLayerOptions extends LayerSource {
  /** Directory that receives the layer's tree; exists and is empty. */
  target: string;
  /** The layers below, topmost first; a layer is applied on top of their union. */
  parents: string[];
  /** Scratch directory on the same file system, for the overlay's work directory. */
  work: string;
  maxBytes: bigint;
  maxEntries: number;
}
export interface DecompressOptions extends LayerSource {
  /** The file to make, mode 0600; must not exist. */
  target: string;
  /** EFBIG beyond. */
  maxBytes: bigint;
}
export interface LayerPathOptions {
  /** Absolute directories of an image's layers, topmost first. */
  layers: string[];
  /** Resolved as if the layers were "/". */
  path: string;
  /** What a directory is copied to with all its metadata; must not exist. Absent: only look. */
  copyTo?: string;
}
export interface ApplyLayerResult {
  /** sha256 of the blob as stored, hex. */
  digest: string;
  /** sha256 of the uncompressed tar, hex. */
  diffId: string;
  /** Bytes that the disk has allocated for the unpacked tree, and its inodes. */
  size: bigint;
  entries: number;
}

/** Tracked UDP flows that keep a translation which is no longer right. */
export interface UdpFlows {
  /** Ports of the host that they were first sent to. */
  ports: number[];
  /** Those that lead to one of these addresses. */
  pods: string[];
  /** And those that lead to where they were sent. */
  untranslated: boolean;
}

export interface Addon extends StatsAddon {
  startMonitor(spawn: MonitorSpawn): MonitorConnection;
  /** On another thread, for one that nobody waits for. */
  startMonitorAside(spawn: MonitorSpawn): Promise<MonitorConnection>;
  connectMonitor(socket: string): MonitorConnection;
  preparePlan(plan: LaunchPlan): PreparedPlan;
  runFileOps(ops: FileOp[]): Promise<void>;
  /** Starts a helper program with clone3(CLONE_VM|CLONE_VFORK), never by forking Node. */
  spawn(options: SpawnOptions): Promise<SpawnResult>;
  compileSeccomp(spec: SeccompSpec): Promise<Uint8Array>;
  /** Attaches a device program to a cgroup v2 directory (kernel ≥ 4.15), replacing ours. */
  attachDeviceProgram(cgroup: string, rules: DeviceRule[]): Promise<void>;
  ensureBridge(spec: BridgeSpec): Promise<void>;
  connectPod(spec: VethSpec): Promise<void>;
  /** Deletes a link; a missing one is no error. Waits for the kernel's grace period (~20 ms). */
  deleteLink(name: string): Promise<void>;
  linkExists(name: string): boolean;
  /** Forgets tracked flows; reads the kernel's whole table of connections. */
  deleteUdpFlows(flows: UdpFlows): Promise<void>;
  applyLayer(options: ApplyLayerOptions, signal?: AbortSignal): Promise<ApplyLayerResult>;
  /** What is at a path of an image; copies a directory. Of a failed copy there is debris. */
  readLayerPath(
    options: LayerPathOptions,
    signal?: AbortSignal,
  ): Promise<'missing' | 'directory' | 'other'>;
  /** Writes a compressed file out plain, on a thread of its own; nothing is left of a failure. */
  decompressFile(options: DecompressOptions, signal?: AbortSignal): Promise<void>;
  /**
   * Connects a socket (of MonitorConnection.socket) to an IPv4 or IPv6 address and makes it
   * non-blocking. ETIMEDOUT after `timeoutMs`. The descriptor stays the caller's.
   */
  connectSocket(fd: number, address: string, port: number, timeoutMs: number): Promise<void>;
  /** kill(2) through a pidfd that was checked against the start time in /proc/PID/stat. */
  killProcess(pid: number, startTicks: bigint, signal: number): void;
}
