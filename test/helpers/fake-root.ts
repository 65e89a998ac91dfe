import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';

/** Paths below the root, and what is in these files. */
export type FakeFiles = Readonly<Record<string, string>>;

/** A folder with its own `proc` and `sys`, removed after the test. */
export class FakeRoot {
  readonly path: string;

  constructor(files: FakeFiles = {}) {
    this.path = mkdtempSync(join(tmpdir(), 'mcp-pool-root-'));
    onTestFinished(() => rmSync(this.path, { recursive: true, force: true }));
    this.write(files);
  }

  write(files: FakeFiles): void {
    for (const [name, text] of Object.entries(files)) {
      const file = join(this.path, name);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, text);
    }
  }

  remove(...names: readonly string[]): void {
    for (const name of names) rmSync(join(this.path, name), { recursive: true });
  }
}
