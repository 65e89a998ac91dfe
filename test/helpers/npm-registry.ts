import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { onTestFinished } from 'vitest';
import { fixturePath } from './fixture.js';
import { newFolder } from './folders.js';
import { MARKER } from './processes.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

type Files = Readonly<Record<string, string | Buffer>>;
interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly bin?: string | Readonly<Record<string, string>> | undefined;
  readonly [field: string]: unknown;
}

/** A registry of npm on the loopback. */
export class NpmRegistry {
  readonly #server: Server;
  readonly #packages = new Map<string, Map<string, { manifest: Manifest; tarball: Buffer }>>();
  readonly #tags = new Map<string, Record<string, string>>();
  /** Paths that were asked for. */
  readonly requests: string[] = [];
  /** While it is true, no request is answered. */
  hangs = false;
  readonly #unanswered: (() => void)[] = [];

  private constructor() {
    this.#server = createServer((request, response) => {
      const path = decodeURIComponent(request.url ?? '');
      this.requests.push(path);
      if (this.hangs) this.#unanswered.push(() => this.#answer(path, response));
      else this.#answer(path, response);
    });
  }

  #answer(path: string, response: ServerResponse): void {
    const [, name = '', file] = /^\/((?:@[^/]+\/)?[^/]+)(?:\/-\/(.+))?$/.exec(path) ?? [];
    const versions = this.#packages.get(name);
    const version = file && [...(versions ?? [])].find(([one]) => file.endsWith(`-${one}.tgz`))?.[1];
    if (version) return void response.end(version.tarball);
    if (versions === undefined || file !== undefined) {
      response.statusCode = 404;
      return void response.end('{"error":"not found"}');
    }
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(this.#packument(name, versions)));
  }

  /** Answers what came while it did not answer. */
  answerAll(): void {
    for (const answer of this.#unanswered.splice(0)) answer();
  }

  static async open(): Promise<NpmRegistry> {
    const registry = new NpmRegistry();
    await new Promise<void>((resolve) => registry.#server.listen(0, '127.0.0.1', resolve));
    onTestFinished(async () => {
      registry.#server.closeAllConnections();
      await new Promise((resolve) => registry.#server.close(resolve));
    });
    return registry;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`;
  }

  /** Its newest version has the tag `latest`. */
  publish(manifest: Manifest, files: Files, tag = 'latest'): void {
    const { name, version } = manifest;
    const all = { 'package.json': JSON.stringify(manifest), ...files };
    const versions = this.#packages.get(name) ?? new Map();
    this.#packages.set(name, versions.set(version, { manifest, tarball: tarball(all) }));
    this.#tags.set(name, { ...this.#tags.get(name), [tag]: version });
  }

  /** A small MCP server with the tools `version` (read only when it is called) and `seen` (its argv and environment). */
  publishServer(name: string, version: string, more: Partial<Manifest> = {}): void {
    const file = fixturePath('base.js');
    const server = `#!/usr/bin/env node
import { serve } from ${JSON.stringify(file)};
serve({ tools: {
  version: async () => (await import('./late.js')).version,
  start: () => ({ argv: process.argv, env: process.env, cwd: process.cwd() }),
} });
`;
    const files = { 'server.js': server, 'late.js': `export const version = ${JSON.stringify(version)};\n` };
    this.publish({ name, version, type: 'module', bin: './server.js', ...more }, files);
  }

  /** A package of this repository's node_modules, with all that it depends on inside. */
  publishInstalled(name: string, version?: string): void {
    const files: Record<string, Buffer> = {};
    const manifest = JSON.parse(readFileSync(join(ROOT, 'node_modules', name, 'package.json'), 'utf8')) as Manifest;
    const within = dependenciesOf(join(ROOT, 'node_modules', name));
    collect(join(ROOT, 'node_modules', name), '', files);
    for (const [place, folder] of within) collect(folder, place, files);
    const { dependencies = {} } = manifest as { dependencies?: Record<string, string> };
    const published = {
      ...{ name, version: version ?? manifest.version, type: manifest.type, bin: manifest.bin, dependencies },
      bundleDependencies: Object.keys(dependencies),
    };
    delete files['package.json'];
    this.publish(published, files);
  }

  #packument(name: string, versions: Map<string, { manifest: Manifest; tarball: Buffer }>) {
    const entries = [...versions].map(([version, { manifest, tarball: bytes }]) => {
      const { bin } = manifest;
      const integrity = `sha512-${createHash('sha512').update(bytes).digest('base64')}`;
      const dist = { tarball: `${this.url}${name}/-/${name.split('/').at(-1)}-${version}.tgz`, integrity };
      const bins = typeof bin === 'string' ? { [name.split('/').at(-1) ?? '']: bin } : bin;
      return [version, { ...manifest, bin: bins, dist }];
    });
    return { name, 'dist-tags': this.#tags.get(name), versions: Object.fromEntries(entries) };
  }
}

/** The settings and folders of one user: a cache, a home and a working directory, all empty. */
export function npmUser({ url }: { readonly url: string }) {
  const folder = newFolder();
  const [home, cwd, cache, tools] = ['home', 'cwd', 'cache', 'tools'].map((name) => join(folder, name));
  for (const path of [home, cwd, cache, tools]) mkdirSync(path!);
  const log = join(folder, 'npm.log');
  writeFileSync(log, '');
  // Counts the runs of npm; a run of the tool for a server is one, too.
  for (const tool of ['npx', 'npm']) {
    const real = (process.env.PATH ?? '')
      .split(':')
      .map((one) => join(one, tool))
      .find(existsSync);
    writeFileSync(join(tools!, tool), `#!/bin/sh\nprintf '%s\\n' "$*" >> '${log}'\nexec '${real}' "$@"\n`);
    chmodSync(join(tools!, tool), 0o755);
  }
  const env = {
    ...{ HOME: home!, PATH: `${tools}:${process.env.PATH}` },
    npm_config_registry: url,
    npm_config_cache: cache!,
    npm_config_fetch_retries: '0',
    npm_config_update_notifier: 'false',
    npm_config_audit: 'false',
  };
  const npx = (...args: string[]) => ({ command: 'npx', args, cwd: cwd!, env, inheritEnv: [MARKER] });
  /** The command lines of npm so far. */
  const runs = () => readFileSync(log, 'utf8').split('\n').filter(Boolean);
  return { folder, home: home!, cwd: cwd!, cache: cache!, env, npx, runs, link: symlinkSync };
}

/** The dependencies that node finds from a folder of node_modules, by the place that they have in a package with all of them. */
function dependenciesOf(folder: string): Map<string, string> {
  const places = new Map<string, string>();
  const add = (from: string) => {
    const { dependencies = {} } = JSON.parse(readFileSync(join(from, 'package.json'), 'utf8')) as Manifest & {
      dependencies?: Record<string, string>;
    };
    for (const name of Object.keys(dependencies)) {
      const path = findFrom(from, name);
      const place = path?.slice(join(ROOT, 'node_modules').length - 'node_modules'.length);
      if (path === undefined || place === undefined || places.has(place)) continue;
      places.set(place, path);
      add(path);
    }
  };
  add(folder);
  return places;
}

function findFrom(folder: string, name: string): string | undefined {
  for (let at = folder; at.length >= ROOT.length - 1; at = dirname(at)) {
    const path = join(at, 'node_modules', name);
    if (existsSync(join(path, 'package.json'))) return path;
  }
  return undefined;
}

function collect(folder: string, place: string, files: Record<string, Buffer>): void {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    if (name === 'node_modules') continue;
    const at = place === '' ? name : `${place}/${name}`;
    if (statSync(path).isDirectory()) collect(path, at, files);
    else if (!/\.(?:d\.[cm]?ts|map|md)$/.test(name)) files[at] = readFileSync(path);
  }
}

function tarball(files: Files): Buffer {
  const parts = Object.entries(files).flatMap(([path, content]) => {
    const bytes = Buffer.from(content);
    const padding = Buffer.alloc((512 - (bytes.length % 512)) % 512);
    return [...headers(`package/${path}`, bytes.length), bytes, padding];
  });
  return gzipSync(Buffer.concat([...parts, Buffer.alloc(1_024)]), { level: 1 });
}

/** ustar; a long path has a header of its own (pax). */
function headers(path: string, size: number): Buffer[] {
  if (Buffer.byteLength(path) <= 100) return [header(path, size, '0')];
  const record = (length: number): string => `${length} path=${path}\n`;
  let length = Buffer.byteLength(record(100));
  while (Buffer.byteLength(record(length)) !== length) length = Buffer.byteLength(record(length));
  const pax = Buffer.from(record(length));
  return [
    header('pax', pax.length, 'x'),
    pax,
    Buffer.alloc((512 - (pax.length % 512)) % 512),
    header(path.slice(0, 100), size, '0'),
  ];
}

function header(path: string, size: number, type: string): Buffer {
  const block = Buffer.alloc(512);
  const octal = (value: number, length: number) => `${value.toString(8).padStart(length - 1, '0')}\0`;
  block.write(path, 0, 'utf8');
  block.write(octal(0o644, 8), 100);
  block.write(octal(0, 8), 108);
  block.write(octal(0, 8), 116);
  block.write(octal(size, 12), 124);
  block.write(octal(0, 12), 136);
  block.write('        ', 148);
  block.write(type, 156);
  block.write('ustar\0', 257);
  block.write('00', 263);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}
