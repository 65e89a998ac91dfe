import { createInterface } from 'node:readline';
import { onTestFinished } from 'vitest';
import { withEnvironment } from '../../src/config/environment.js';
import type { ServerDefinition } from '../../src/config/options.js';
import type { ExitInfo, ServerProcess } from '../../src/process/launcher.js';
import type { Platform } from '../../src/process/platform.js';
import { linux } from '../../src/process/platforms/linux.js';
import type { ProcessTable } from '../../src/process/process-table.js';
import { localLauncher } from '../../src/process/start/local-launcher.js';
import type { JsonRpcMessage, RequestId } from '../../src/protocol/json-rpc.js';
import { define } from './definition.js';

/** A real server process without a pool. What is left of it is killed when the test is over. */
export interface Launched {
  readonly process: ServerProcess;
  /** Pid of the leader; throws when no process was started. */
  readonly pid: number;
  /** Rejects when the operating system refuses to start the process. */
  readonly spawned: Promise<void>;
  readonly exited: Promise<ExitInfo>;
  /** Lines of stderr; only filled with `listen`. */
  readonly stderr: string[];
  /** The calls of its handlers, in order. */
  readonly reported: string[];
  /** Lines of stdout that are not JSON. */
  readonly noise: string[];
  request(method: string, params?: object): Promise<unknown>;
  /** Calls a tool and returns its text, parsed if it is JSON. */
  callTool(name: string, args?: object): Promise<unknown>;
}

export interface LaunchOptions {
  /** Whether lines of stderr are wanted. Default: false. */
  readonly listen?: boolean;
  readonly table?: ProcessTable;
  /** Default: Linux. */
  readonly platform?: Platform;
  /** The cgroup in which that of the server is made. */
  readonly cgroupParent?: string;
}

/** Spawns a definition with the local launcher, as a pool does. */
export function launch(given: ServerDefinition, options: LaunchOptions = {}): Launched {
  const stderr: string[] = [];
  const reported: string[] = [];
  const noise: string[] = [];
  const waiting = new Map<RequestId, (message: JsonRpcMessage) => void>();
  let reportExit!: (exit: ExitInfo) => void;
  const exited = new Promise<ExitInfo>((resolve) => {
    reportExit = resolve;
  });
  let reportSpawn!: { resolve: () => void; reject: (error: Error) => void };
  const spawned = new Promise<void>((resolve, reject) => {
    reportSpawn = { resolve, reject };
  });
  spawned.catch(() => {});
  const platform = options.platform ?? { ...linux, table: options.table ?? linux.table };
  const server = localLauncher(platform, { cgroupParent: options.cgroupParent }).launch(
    withEnvironment(define(given)),
    {
      onSpawn: () => {
        reported.push('spawn');
        reportSpawn.resolve();
      },
      onSpawnError: (error) => {
        reported.push('spawn-error');
        reportSpawn.reject(error);
      },
      onExit: (exit) => {
        reported.push('exit');
        reportExit(exit);
      },
      onStderrLine: (line) => stderr.push(line),
      wantsStderr: () => options.listen === true,
    },
  );
  onTestFinished(async () => {
    await server.end({ mode: 'emergency' });
    await server.drained();
  });
  createInterface({ input: server.stdout }).on('line', (line) => {
    let message: JsonRpcMessage;
    try {
      message = JSON.parse(line) as JsonRpcMessage;
    } catch {
      noise.push(line);
      return;
    }
    waiting.get(message.id as RequestId)?.(message);
  });
  let nextId = 1;
  const request = (method: string, params: object = {}) =>
    new Promise<unknown>((resolve, reject) => {
      const id = nextId++;
      waiting.set(id, ({ result, error }) => {
        if (error === undefined) resolve(result);
        else reject(new Error(error.message));
      });
      server.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`);
    });
  return {
    process: server,
    get pid() {
      if (server.pid === undefined) throw new Error('no process was started');
      return server.pid;
    },
    spawned,
    exited,
    stderr,
    reported,
    noise,
    request,
    async callTool(name, args = {}) {
      const result = (await request('tools/call', { name, arguments: args })) as { content: { text: string }[] };
      const text = result.content[0]?.text ?? '';
      try {
        return JSON.parse(text);
      } catch {
        return text;
      }
    },
  };
}
