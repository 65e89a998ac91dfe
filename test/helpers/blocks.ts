import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { onTestFinished } from 'vitest';
import { ROOT } from './compiled.js';
import type { CodeBlock } from './markdown.js';

/** A block of a page. */
export interface PageBlock extends CodeBlock {
  readonly page: string;
}

/** What pages name without a declaration: what their reader has already. */
const OF_THE_READER = `
import type { EventEmitter } from 'node:events';
import type { MCPServerPool, SequentialExecutor, ServerDefinition } from 'mcp-server-pool';
declare global {
  const pool: MCPServerPool;
  const lane: SequentialExecutor;
  const servers: Record<string, ServerDefinition>;
  const signal: AbortSignal;
  function log(...values: unknown[]): void;
  function warn(...values: unknown[]): void;
  function slack(message: unknown): Promise<void>;
  function pagerDuty(message: unknown): Promise<void>;
  function email(message: unknown): Promise<void>;
  function tokenOf(tenant: string | undefined): string;
  const aliceToken: string;
  const vault: { current(): string };
  const app: { get(path: string, handler: (request: any, response: any) => void): void };
  const db: { query(sql: string, options: { signal: AbortSignal }): Promise<unknown> };
  function restartContainer(names: readonly string[]): void;
  // Steps of a sequence.
  const startDb: () => Promise<void>, dbAnswers: () => Promise<boolean>, stopDb: () => Promise<void>;
  const startCache: () => Promise<void>, stopCache: () => Promise<void>;
  const startApi: () => Promise<void>, stopApi: () => Promise<void>;
  const startWeb: () => Promise<void>, stopWeb: () => Promise<void>;
  const startWorker: () => Promise<void>, stopWorker: () => Promise<void>;
}
`;

/** Packages of the reader that are not here. */
const OF_OTHERS = `
declare module 'nodemailer';
declare module 'pino';
`;

/** JavaScript has no types to satisfy: the SDK calls the result of a tool "unknown", for one. */
const JAVASCRIPT = { allowJs: true, checkJs: true, strict: false };
const UNKNOWN = 18_046;

/** What TypeScript says about each block of code, with its page and line. Blocks with a name can import one another. */
export function problemsOf(blocks: readonly PageBlock[]): string[] {
  mkdirSync(join(ROOT, '.tmp'), { recursive: true });
  const folder = mkdtempSync(join(ROOT, '.tmp', 'blocks-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  // Blocks show how an example is used by a file beside its folder.
  for (const example of ['metamcp', 'dashboard'])
    cpSync(join(ROOT, 'examples', example), join(folder, example), { recursive: true });
  const globals = { 'reader.d.ts': OF_THE_READER, 'others.d.ts': OF_OTHERS };
  for (const [name, text] of Object.entries(globals)) writeFileSync(join(folder, name), text);

  const files = new Map(
    blocks.map((block) => {
      const file = join(folder, block.name ?? `${block.page.replace(/\W/g, '-')}-${block.line}.${block.language}`);
      // Each a module, so that two blocks may declare the same.
      writeFileSync(file, `${block.code}\nexport {};\n`);
      return [file, block];
    }),
  );
  const config = ts.readConfigFile(join(ROOT, 'tsconfig.json'), ts.sys.readFile).config;
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, ROOT);
  // As short as a page may be: its functions name no types, and what it shows is not always used.
  const short = { ...options, noImplicitAny: false, noUnusedLocals: false, noUnusedParameters: false };
  const found = ['js', 'ts'].flatMap((language) => {
    const roots = [...files.keys()].filter((file) => files.get(file)?.language === language);
    const program = ts.createProgram(
      [...roots, ...Object.keys(globals).map((name) => join(folder, name))],
      language === 'js' ? { ...short, ...JAVASCRIPT } : short,
    );
    // Of these files alone: the rest of the program is checked by `npm run types`.
    return roots.flatMap((file) => {
      const source = program.getSourceFile(file);
      return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)].filter(
        ({ code }) => language === 'ts' || code !== UNKNOWN,
      );
    });
  });
  return found.map(({ file, start = 0, messageText }) => {
    const block = files.get(file?.fileName ?? '');
    const line = (block?.line ?? 0) + (file?.getLineAndCharacterOfPosition(start).line ?? 0);
    return `${block?.page}:${line}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`;
  });
}
