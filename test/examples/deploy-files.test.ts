import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { resolvePoolOptions } from '../../src/config/resolve-options.js';
import type { PoolOptions } from '../../src/index.js';
import { autoMaxProcesses, defaultMemoryLimitMB } from '../../src/monitor/host/auto-limits.js';
import { exampleProgram } from '../helpers/example.js';
import { newFolder } from '../helpers/folders.js';
import {
  type Compose,
  composeCommand,
  composeProblems,
  type Deployment,
  deploymentProblems,
  readUnit,
  readYaml,
  systemdVersion,
} from '../helpers/manifests.js';

const FOLDER = fileURLToPath(new URL('../../examples/deploy/', import.meta.url));
const read = (file: string) => readFileSync(join(FOLDER, file), 'utf8');
const compose = () => (readYaml(read('compose.yaml')) as Compose).services['mcp-host']!;
const deployment = () => readYaml(read('kubernetes.yaml')) as Deployment;
const unit = () => readUnit(read('mcp-host.service'));

/** What a file gives to the host. */
interface Room {
  readonly env: Readonly<Record<string, string>>;
  readonly memoryMB: number;
  readonly reservedMB?: number;
  /** Memory that files in /tmp may take. */
  readonly tmpMB: number;
  readonly cpus: number;
  /** Undefined where the file cannot limit it. */
  readonly pids?: number;
  /** From the signal on which the host ends until it is killed, s. */
  readonly stopSeconds: number;
  /** How the host is started. */
  readonly command: string;
}

/** `4096M`, `256Mi`, `1g`: MB. */
function megabytes(text: string): number {
  const [, digits = '', unit = ''] = /^(\d+)(m|mi|g|gi)$/i.exec(text) ?? [];
  expect(digits, text).not.toBe('');
  return Number(digits) * (unit.toLowerCase().startsWith('g') ? 1_024 : 1);
}

function inCompose(): Room {
  const { deploy, environment, pids_limit, stop_grace_period, tmpfs } = compose();
  return {
    env: environment,
    memoryMB: megabytes(deploy.resources.limits.memory),
    reservedMB: megabytes(deploy.resources.reservations.memory),
    tmpMB: megabytes(/^\/tmp:size=(\w+),/.exec(tmpfs[0] ?? '')?.[1] ?? ''),
    cpus: Number(deploy.resources.limits.cpus),
    pids: pids_limit,
    stopSeconds: Number.parseInt(stop_grace_period, 10),
    command: read('Dockerfile').match(/^CMD (.*)$/m)?.[1] ?? '',
  };
}

function inKubernetes(): Room {
  const { containers, terminationGracePeriodSeconds, volumes } = deployment().spec.template.spec;
  const { env, lifecycle, resources } = containers[0]!;
  const [, pause] = lifecycle.preStop.exec.command;
  return {
    env: Object.fromEntries(env.map(({ name, value }) => [name, value])),
    memoryMB: megabytes(resources.limits.memory),
    reservedMB: megabytes(resources.requests.memory),
    tmpMB: megabytes(volumes[0]?.emptyDir.sizeLimit ?? ''),
    cpus: Number(resources.limits.cpu),
    stopSeconds: terminationGracePeriodSeconds - Number(pause),
    command: read('Dockerfile').match(/^CMD (.*)$/m)?.[1] ?? '',
  };
}

function inSystemd(): Room {
  const values = unit();
  const one = (key: string) => values.get(`Service.${key}`)?.[0] ?? '';
  return {
    env: Object.fromEntries(
      (values.get('Service.Environment') ?? []).map((line) => line.split('=') as [string, string]),
    ),
    // What the pool takes for the memory of its container: from there on the kernel slows it down.
    memoryMB: megabytes(one('MemoryHigh')),
    tmpMB: 0,
    cpus: Number.parseInt(one('CPUQuota'), 10) / 100,
    pids: Number(one('TasksMax')),
    stopSeconds: Number(one('TimeoutStopSec')),
    command: one('ExecStart'),
  };
}

/** The options of the example in such an environment. */
async function optionsIn({ env }: Room) {
  const path = join(dirname(exampleProgram('deploy/host.mjs')), 'options.mjs');
  const { poolOptions } = (await import(pathToFileURL(path).href)) as {
    poolOptions(env: Readonly<Record<string, string>>): { enabled: boolean; options: PoolOptions };
  };
  const { enabled, options } = poolOptions(env);
  expect(enabled).toBe(true);
  return resolvePoolOptions(options);
}

describe.each([
  ['compose.yaml', inCompose],
  ['kubernetes.yaml', inKubernetes],
  ['mcp-host.service', inSystemd],
])('examples/deploy/%s', (_file, roomOf) => {
  it('[DEPLOY-1] has room for what the pool may use, and for the host', async () => {
    const room = roomOf();
    const { limits, servers } = await optionsIn(room);
    const heapMB = Number(/--max-old-space-size=(\d+)/.exec(room.command)?.[1]);
    const hostMB = heapMB + 128;
    expect(hostMB).toBe(512);
    const { memoryLimitMB = Number.NaN } = limits;
    expect(memoryLimitMB + hostMB + room.tmpMB).toBeLessThanOrEqual(room.memoryMB);
    expect(limits.cpuLimitPercent).toBeLessThan(room.cpus * 100);
    for (const { memoryLimitMB: ofTree } of servers.values()) expect(ofTree).toBeLessThan(memoryLimitMB);
    if (room.reservedMB !== undefined) expect(room.reservedMB).toBeGreaterThanOrEqual(hostMB + 4 * 128);
  });

  it('[DEPLOY-1] has the limits that the pool would choose there by itself, or lower ones', async () => {
    const room = roomOf();
    const { limits } = await optionsIn(room);
    const { memoryMB, pids, cpus } = room;
    const host = {
      at: 0,
      memory: { totalMB: memoryMB, availableMB: memoryMB - 512, from: 'container' as const },
      ...(pids === undefined ? {} : { pids: { allowed: pids, used: 32, from: 'container' as const } }),
      cpus: { allowed: cpus, from: 'container' as const },
    };
    expect(limits.maxProcesses).toBeLessThanOrEqual(autoMaxProcesses(host as never).value);
    expect(limits.memoryLimitMB).toBeLessThanOrEqual(defaultMemoryLimitMB(host as never));
  });

  it('[DEPLOY-2] gives a shutdown its time, and 10 s for what it must kill then', async () => {
    const room = roomOf();
    const { shutdownTimeout, cleanup } = await optionsIn(room);
    expect(cleanup.timeout).toBe(10_000);
    expect(room.stopSeconds * 1_000).toBeGreaterThanOrEqual(shutdownTimeout + cleanup.timeout);
  });

  it('[DEPLOY-1] has the same figures as the others', () => {
    const figures = ({ env, command, ...room }: Room) => ({
      ...Object.fromEntries(Object.entries(env).filter(([name]) => name.startsWith('MCP_POOL_'))),
      memoryMB: room.memoryMB,
      cpus: room.cpus,
      heap: /--max-old-space-size=\d+/.exec(command)?.[0],
    });
    expect(figures(roomOf())).toEqual(figures(inCompose()));
  });
});

describe('docs/deployment.md', () => {
  it('[DEPLOY-1] has the figures of the files', async () => {
    const page = readFileSync(new URL('../../docs/deployment.md', import.meta.url), 'utf8');
    const [, section = ''] = page.split('\n## The figures\n');
    const rows = [...section.matchAll(/^\| (\S.*?) +\| ([\d,]+)/gm)];
    const documented = Object.fromEntries(
      rows.map(([, name = '', figure = '']) => [name.replaceAll('`', ''), Number(figure.replaceAll(',', ''))]),
    );
    const room = inCompose();
    expect(documented).toEqual({
      MAX_PROCESSES: Number(room.env.MCP_POOL_MAX_PROCESSES),
      MEMORY_LIMIT_MB: Number(room.env.MCP_POOL_MEMORY_LIMIT_MB),
      'heap of the host': Number(/space-size=(\d+)/.exec(room.command)?.[1]),
      '/tmp': room.tmpMB,
      memory: room.memoryMB,
      'reserved memory': room.reservedMB,
      CPUs: room.cpus,
      processes: room.pids,
      descriptors: compose().ulimits.nofile.hard,
      'time to end': room.stopSeconds,
    });
    expect(section).toContain(`cpuLimitPercent: ${(await optionsIn(room)).limits.cpuLimitPercent}\``);
  });
});

describe('examples/deploy/compose.yaml', () => {
  it('[DEPLOY-3] is what the Compose specification allows; a mistake is found', () => {
    const file = readYaml(read('compose.yaml')) as Compose;
    expect(composeProblems(file)).toEqual([]);
    Object.assign(file.services['mcp-host']!, { pid_limit: 3, init: 'maybe' });
    expect(composeProblems(file)).toEqual([
      expect.stringContaining('additional properties'),
      expect.stringMatching(/init must be boolean/),
    ]);
  });

  it('[DEPLOY-3] is read by docker compose config as it stands there', ({ skip }) => {
    const command = composeCommand();
    if (command === undefined) return skip('there is no Docker Compose: apt-get install docker-compose');
    const [program, ...args] = command;
    const { status, stdout, stderr } = spawnSync(program, [...args, '-f', join(FOLDER, 'compose.yaml'), 'config'], {
      encoding: 'utf8',
      timeout: 60_000,
    });
    expect(status, stderr).toBe(0);
    const { services } = readYaml(stdout) as Compose;
    expect(services['mcp-host']).toMatchObject({ init: true, read_only: true, environment: inCompose().env });
  });

  it('[DEPLOY-2] has an init, no swap, no way to write or to gain rights, and a health check that fits startTimeout', () => {
    const { deploy, healthcheck, memswap_limit, ...service } = compose();
    expect(service).toMatchObject({
      init: true,
      read_only: true,
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true'],
      ulimits: { core: 0 },
    });
    expect(megabytes(memswap_limit)).toBe(megabytes(deploy.resources.limits.memory));
    const { servers } = resolvePoolOptions({ command: 'node' });
    const startTimeout = servers.get('default')?.startTimeout ?? Number.NaN;
    expect(Number.parseInt(healthcheck.start_period, 10) * 1_000).toBeGreaterThanOrEqual(startTimeout);
    expect(healthcheck.test).toEqual(['CMD', 'node', 'healthcheck.mjs']);
  });
});

describe('examples/deploy/kubernetes.yaml', () => {
  it('[DEPLOY-4] is what the API of Kubernetes allows; a mistake is found', () => {
    const file = deployment();
    expect(deploymentProblems(file)).toEqual([]);
    Object.assign(file.spec.template.spec, { terminationGracePeriodSecond: 3, shareProcessNamespace: 'yes' });
    expect(deploymentProblems(file)).toEqual([
      expect.stringMatching(/shareProcessNamespace/),
      '/spec/template/spec/terminationGracePeriodSecond is not known',
    ]);
  });

  it('[DEPLOY-4] selects its own pods, runs without rights, and probes what the host answers', () => {
    const { selector, template } = deployment().spec;
    expect(template.metadata.labels).toMatchObject(selector.matchLabels);
    const { automountServiceAccountToken, containers, shareProcessNamespace, securityContext } = template.spec;
    expect({ automountServiceAccountToken, shareProcessNamespace }).toEqual({
      automountServiceAccountToken: false,
      shareProcessNamespace: true,
    });
    expect(securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
    const container = containers[0]!;
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    const host = read('host.mjs');
    for (const probe of [container.startupProbe, container.livenessProbe, container.readinessProbe]) {
      expect(host).toContain(`'${probe.httpGet.path}'`);
      expect(probe.httpGet.port).toBe(container.ports[0]?.name);
    }
    expect(host).toContain(`?? ${container.ports[0]?.containerPort}`);
  });
});

describe('examples/deploy/mcp-host.service', () => {
  it('[DEPLOY-5] is accepted by systemd-analyze verify', ({ skip }) => {
    const version = systemdVersion();
    if (version === undefined) return skip('there is no systemd-analyze(1): apt-get install systemd');
    const path = join(newFolder(), 'mcp-host.service');
    // Programs that are there: what the file names is on the machine of its reader.
    writeFileSync(path, read('mcp-host.service').replace('/usr/bin/node', process.execPath));
    const { status, stderr } = spawnSync('systemd-analyze', ['verify', path], { encoding: 'utf8', timeout: 60_000 });
    const known = version < 254 ? /Unknown key '?(name ')?DelegateSubgroup'/ : /^$/;
    const lines = stderr.split('\n').filter((line) => line.includes('mcp-host') && !known.test(line));
    expect({ status, lines }).toEqual({ status: 0, lines: [] });
  });

  it('[DEPLOY-5] leaves the servers to their host, and the cgroups to the pool', () => {
    const values = unit();
    expect(values.get('Service.Delegate')).toEqual(['yes']);
    expect(values.get('Service.KillMode')).toEqual(['mixed']);
    expect(values.get('Service.OOMPolicy')).toEqual(['continue']);
    expect(values.has('Service.ProtectControlGroups')).toBe(false);
    const mb = (key: string) => megabytes(values.get(`Service.${key}`)?.[0] ?? '');
    expect(mb('MemoryMax')).toBeGreaterThan(mb('MemoryHigh'));
    const code = /WRONG_CONFIGURATION = (\d+)/.exec(read('host.mjs'))?.[1];
    expect(values.get('Service.RestartPreventExitStatus')).toEqual([code]);
  });
});
