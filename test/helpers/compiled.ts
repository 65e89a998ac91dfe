import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of the package. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** The folder with `src/` as JavaScript. Compiled once for each content, and readable for every user. */
export function compiledSource(): string {
  const files = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.ts'),
  );
  const sources = files.sort().map((file) => ({ file, text: readFileSync(join(ROOT, 'src', file), 'utf8') }));
  const hash = createHash('sha256').update(JSON.stringify(sources)).digest('hex').slice(0, 16);
  const folder = join(ROOT, '.tmp', `src-${hash}`);
  if (existsSync(folder)) return folder;
  // Imported only here: it takes seconds to load on a busy machine.
  const ts = createRequire(import.meta.url)('typescript') as typeof import('typescript');
  mkdirSync(dirname(folder), { recursive: true });
  forgetOldSources();
  const draft = mkdtempSync(`${folder}-draft-`);
  const compilerOptions = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022, verbatimModuleSyntax: true };
  for (const { file, text } of sources) {
    const target = join(draft, file.replace(/\.ts$/, '.js'));
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, ts.transpileModule(text, { compilerOptions }).outputText);
  }
  // mkdtemp makes private folders, but some hosts run as the user "nobody".
  chmodSync(draft, 0o755);
  try {
    renameSync(draft, folder);
  } catch {
    // Another worker has made the folder meanwhile.
    rmSync(draft, { recursive: true });
  }
  return folder;
}

/** The `globalSetup` of vitest: compiles before all tests, so that no test has to wait for it. */
export function setup(): void {
  compiledSource();
}

/** Removes compiled sources that are older than an hour; younger ones may be in use by a test. */
function forgetOldSources(): void {
  for (const entry of readdirSync(join(ROOT, '.tmp'))) {
    const folder = join(ROOT, '.tmp', entry);
    if (entry.startsWith('src-') && Date.now() - statSync(folder).mtimeMs > 3_600_000)
      rmSync(folder, { recursive: true });
  }
}
